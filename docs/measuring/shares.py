"""What Snakemake takes for many shares of one extraction: `python -m docs.measuring.shares WHAT SHARES …`.

Run in the clone's root. WHAT: `resolve`, a dry run; `local`, carried out on two cores; `slurm`, submitted to
a Slurm that answers at once. Stages are the workflow tests' stand-in. Told are CPU seconds of Snakemake and
all that it starts, and its memory.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.workflow.test_workflow import ROOT, Line

TARGET = "results/tiny/seed-0/orders/greedy/receipt.json"
# Slurm that answers at once, as if the job had run: it leaves the files that the job was to make.
STUBS = {
    "sbatch": """
        for word in "$@"; do case "$word" in --wrap=*) job=$word;; esac; done
        o=results/tiny/seed-0/orders/greedy b=results/tiny/benchmarks
        mkdir -p $o/shards $b/extract $b/merge_orders
        case "$job" in
          *target-jobs*extract:*) share=${job##*scatteritem=}; share=${share%%[!0-9a-z-]*}
            echo done > $o/shards/$share.json; echo s > $b/extract/greedy.seed-0.$share.tsv;;
          *) echo done > $o/receipt.json; echo s > $b/merge_orders/greedy.seed-0.tsv;;
        esac
        echo $$ >> $STUB; echo $$""",
    "squeue": 'while read i; do echo "$i|COMPLETED"; done < $STUB',
    "scontrol": 'echo "MinJobAge = 300 sec"',
    **dict.fromkeys(("sinfo", "sacctmgr", "scancel"), "exit 0"),
}


def measure(what: str, shares: int, folder: Path) -> tuple[float, float, float]:
    """CPU seconds, seconds by the clock, and bytes."""
    line = Line(folder / "line")
    words = ["--scheduler", "greedy"]
    if what == "resolve":
        words += ["-n", "--quiet", "all"]
    else:
        first = line.snakemake("--cores", "2", "--", "results/tiny/seed-0/models/any/receipt.json")
        assert first.returncode == 0, first.stderr
    if what == "local":
        words += ["--cores", "2", "--quiet", "all"]
    if what == "slurm":
        for name, text in STUBS.items():
            (line.folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
            (line.folder / "bin" / name).chmod(0o755)
        os.environ["STUB"] = str(folder / "submitted")
        words += ["--profile", str(ROOT / "workflow/profiles/slurm"), "--jobs", str(2 * shares)]
        words += ["--slurm-logdir", str(folder / "slurm"), "--slurm-init-seconds-before-status-checks", "1"]
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run = line.snakemake(*words, "--set-scatter", f"extract={shares}", "generate=1", "--", TARGET)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, (run.stdout + run.stderr)[-2000:]
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, time.monotonic() - begin, after.ru_maxrss * 1024.0


def main(what: str, sizes: list[int]) -> None:
    """A line a size, and what one more share takes."""
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            found[size] = measure(what, size, Path(folder))
        print(f"{what} {size:>7,}", _told(found[size]), flush=True)
    few, many = found[sizes[0]], found[sizes[-1]]
    each = [(after - before) / (sizes[-1] - sizes[0]) for before, after in zip(few, many, strict=True)]
    print(f"{what} {'each':>7}", _told(each))


def _told(values: Sequence[float]) -> str:
    seconds, clock, memory = values
    return f"{seconds:9.3f} s of CPU {clock:9.3f} s by the clock {memory / 1e6:9.3f} MB"


if __name__ == "__main__":
    main(sys.argv[1], [int(size) for size in sys.argv[2:]])
