"""Says what differs between two runs of a book, and whether it is more than chance."""

import json as plain
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.files import write_text
from oarpipe.base.log import log
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.reports.comparison import Entry, OneRun, TwoRuns
    from oarpipe.reports.comparison_entries import Work
    from oarpipe.reports.comparison_numbers import Numbers


def compare(first: Path, second: Path, *, json: bool = False, out: Path | None = None) -> None:
    """Prints what two runs say otherwise in their recipes, and how their numbers, contents and times differ.

    oarpipe compare results/digits results/digits_lr
    oarpipe compare results/digits results/digits_lr --out differences.html

    Differences are b minus a, with 95 % intervals: over seeds where both have three in common, else over
    the images, resampled in pairs where both have as many. What was measured otherwise (another reference,
    feature network, convention) is not compared; if nothing is left to compare, the status is 2.
    """
    if out is not None and out.suffix != ".html":
        raise BadInput(f"--out {out}: expected the name of a page that ends in .html")
    from oarpipe.reports.comparison import two_runs

    runs = two_runs(first, second)
    if out is not None:
        from oarpipe.reports.comparison_page import comparison_page

        write_text(out, comparison_page(runs))
        log.info("wrote %s", out)
    if json:
        print(plain.dumps(runs.facts(), indent=1))
    elif out is None:
        print("\n".join(_told(runs)))
    runs.check()


def _told(runs: "TwoRuns") -> Iterator[str]:
    from oarpipe.reports.comparison_entries import shown

    yield from _aligned([_run("a", runs.a), _run("b", runs.b)], "llll")
    for letter, run in (("a", runs.a), ("b", runs.b)):
        if run.alone:
            yield f"only in {letter}: {', '.join(run.alone)}"
    for title, found in (("recipes", runs.changes), ("settings that searches chose", runs.choices)):
        if found:
            yield f"\n{title}, a → b"
            yield from _aligned([[one.option, f"{shown(one.a)} → {shown(one.b)}"] for one in found], "ll")
    if not runs.changes:
        yield "\nthe recipes of all entries that both have are the same"
    for entry in runs.entries:
        yield ""
        yield from _entry(entry)
    if runs.numbers:
        yield f"\n{runs.summary}"
    yield ""
    yield from _work(runs.work)


def _run(letter: str, run: "OneRun") -> list[str]:
    seeds = f"seed{'' if len(run.seeds) == 1 else 's'} {', '.join(map(str, run.seeds))}"
    return [letter, run.folder, seeds, "; ".join(run.machines)]


def _entry(entry: "Entry") -> Iterator[str]:
    for one in entry.compared:
        yield f"{entry.name}: {one.title}"
        yield from _aligned(list(_rows(one)), "lrrrrll")
    for reason, measures in entry.refusals.items():
        yield f"{entry.name}: not compared, {reason}: {', '.join(measures)}"
    if entry.same:
        yield f"{entry.name}: the very same in both: {', '.join(entry.same)}"


def _rows(one: "Numbers") -> Iterator[list[str]]:
    from oarpipe.reports.claims import number, signed, span

    yield ["", "a", "b", "b − a", "95 % interval", "", ""]
    for row in one.rows:
        values = [
            number(row.a, one.digits),
            number(row.b, one.digits),
            signed(row.difference.mean, one.digits),
        ]
        interval = "–" if row.interval is None else span(row.interval, one.digits)
        yield [f"  {row.name}", *values, interval, row.words, row.kind]


def _work(work: Sequence["Work"]) -> Iterator[str]:
    from oarpipe.reports.provenance import duration

    lines = [["made in both", "folders", "same content", "time a", "time b"]]
    for one in work:
        times = [duration(seconds) for seconds in (one.seconds_a, one.seconds_b)]
        lines.append([one.table, str(one.count), str(one.same), *times])
    yield from _aligned(lines, "lrrrr")
    reasons: dict[str, list[str]] = {}
    for one in work:
        for words, folders in one.reasons.items():
            reasons.setdefault(words, []).extend(folders)
    yield from (f"{words}: {', '.join(folders)}" for words, folders in reasons.items() if folders)


def _aligned(lines: Sequence[Sequence[Any]], sides: str) -> Iterator[str]:
    """The lines as columns, each pushed to its side (l, r)."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(sides))] if lines else []
    for line in lines:
        cells = zip(line, sides, widths, strict=True)
        yield "  ".join(
            f"{text:{'<' if side == 'l' else '>'}{width}}" for text, side, width in cells
        ).rstrip()
