"""An extraction cut into thousands of shares: what Snakemake does for them grows in proportion, no faster."""

import os
import pstats
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.test_workflow import BIN, ROOT, TINY, Line

SHARES = [200, 1000, 1800]  # the same number more each time
TARGET = "results/tiny/seed-0/orders/greedy/receipt.json"


def dry_run(line: Line, shares: int) -> tuple[str, pstats.Stats]:
    """What a dry run says, and the calls it made."""
    profile = line.folder / "calls"
    snakemake = ["-m", "cProfile", "-o", str(profile), str(BIN / "snakemake"), "-n", "--quiet", "rules"]
    words = ["-s", str(ROOT / "Snakefile"), "-d", str(line.folder), "--configfile", str(TINY)]
    scatter = ["--scheduler", "greedy", "--set-scatter", f"extract={shares}", "--", TARGET]
    run = subprocess.run(
        [sys.executable, *snakemake, *words, *scatter],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(line.folder / "cache")},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout + run.stderr, pstats.Stats(str(profile))


def calls_of(calls: pstats.Stats, function: str) -> int:
    """How often a function of ours was called."""
    entries = calls.stats.items()  # type: ignore[attr-defined]
    return sum(count for (file, _, name), (_, count, *_) in entries if name == function and "oarpipe" in file)


@pytest.mark.slow
def test_thousands_of_shares_cost_calls_in_proportion_and_read_the_book_once(tmp_path: Path) -> None:
    line = Line(tmp_path / "line")
    told = {shares: dry_run(line, shares) for shares in SHARES}
    for shares, (page, _) in told.items():
        assert f"extract {shares:>15}".split() in [row.split() for row in page.splitlines()]
    for function in ("load_book", "ingredients", "file_name"):
        counts = {calls_of(calls, function) for _, calls in told.values()}
        assert len(counts) == 1, f"{function} is called {counts} times"
        assert counts != {0}
    few, some, many = (calls.total_calls for _, calls in told.values())  # type: ignore[attr-defined]
    assert many - some < 1.1 * (some - few)
