"""Two runs side by side: what differs in their recipes, numbers and contents, and whether it is chance."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oarpipe.base.receipts import Receipt
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.metrics.percentiles import LEVEL
from oarpipe.reports.comparison_entries import MISSING, Change, Made, Work, changes, choices, entries, work
from oarpipe.reports.comparison_numbers import Numbers, Row, numbers
from oarpipe.reports.intervals import SEEDS_NEEDED
from oarpipe.reports.provenance import machine_words, run_facts
from oarpipe.reports.results import Results, finished


@dataclass(frozen=True)
class OneRun:
    """One of the two: its folder, its seeds, the machines it ran on, and the entries that it alone has."""

    folder: str
    seeds: Sequence[int]
    machines: Sequence[str]
    alone: Sequence[str]


@dataclass(frozen=True)
class Entry:
    """An evaluation, or likelihoods, that both runs have, measure by measure."""

    name: str
    measures: Sequence[Numbers]

    @property
    def compared(self) -> list[Numbers]:
        """The measures with anything to tell."""
        return [one for one in self.measures if one.rows]

    @property
    def refusals(self) -> dict[str, list[str]]:
        """Why measures are not compared, and which."""
        found: dict[str, list[str]] = {}
        for one in self.measures:
            if one.refused:
                found.setdefault(one.refused, []).append(one.measure)
        return found

    @property
    def same(self) -> list[str]:
        """What is the very same by every measure; of likelihoods a model where all of its orders are."""
        every = [one for one in self.measures if not one.refused]
        apart = {_model(row.name) for one in every for row in one.rows}
        names = dict.fromkeys(name for one in every for name in one.same)
        return [
            *dict.fromkeys(
                name if _model(name) in apart else _model(name)
                for name in names
                if all(name in one.same for one in every)
            )
        ]


def _model(name: str) -> str:
    """`any` of the likelihood `any, raster`; another name as it is."""
    return name.partition(", ")[0]


@dataclass(frozen=True)
class TwoRuns:
    """All that is told of two runs; differences are b minus a."""

    a: OneRun
    b: OneRun
    changes: Sequence[Change]
    choices: Sequence[Change]
    numbers: Sequence[Numbers]
    work: Sequence[Work]

    @property
    def rows(self) -> list[Row]:
        """Every number that is compared and not the very same."""
        return [row for one in self.numbers for row in one.rows]

    @property
    def summary(self) -> str:
        """How many intervals exclude zero, and how many would if nothing differed."""
        judged = [row for row in self.rows if row.interval is not None]
        if not judged:
            return "No difference has an interval."
        apart = sum(row.interval.excludes_zero() for row in judged if row.interval is not None)
        told = (
            f"{apart} of {len(judged)} intervals exclude{'s' if apart == 1 else ''} zero; "
            f"if nothing differed, about {len(judged) * (1 - LEVEL):.1f} would."
        )
        if any(row.difference.over_seeds is None for row in judged):
            told += (
                f" With fewer than {SEEDS_NEEDED} seeds in common an interval resamples images only: it says "
                "nothing of other trainings."
            )
        return told

    @property
    def entries(self) -> list[Entry]:
        """The numbers by entry."""
        found: dict[str, list[Numbers]] = {}
        for one in self.numbers:
            found.setdefault(one.entry, []).append(one)
        return [Entry(name, measures) for name, measures in found.items()]

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "a": asdict(self.a),
            "b": asdict(self.b),
            "changes": [_options(one) for one in self.changes],
            "choices": [_options(one) for one in self.choices],
            "numbers": [_plain(one) for one in self.numbers],
            "work": [asdict(one) for one in self.work],
        }

    def check(self) -> None:
        """`BadInput` or `FingerprintMismatch` if there is nothing that compares."""
        if not set(self.a.seeds) & set(self.b.seeds):
            raise BadInput(
                f"{self.a.folder} and {self.b.folder} have no seed in common ({_listed(self.a.seeds)}; "
                f"{_listed(self.b.seeds)}); run one book under a seed of the other"
            )
        if not self.work:
            raise BadInput(f"{self.a.folder} and {self.b.folder} have no finished entry in common")
        refusals = [one.refused for one in self.numbers if one.refused]
        if refusals and len(refusals) == len(self.numbers):
            raise FingerprintMismatch(
                f"no number of {self.a.folder} compares with one of {self.b.folder}: {refusals[0]}"
            )


def two_runs(first: Path, second: Path) -> TwoRuns:
    """Reads two books' results; numbers are compared under the seeds that both have."""
    a, b = finished(first), finished(second)
    return TwoRuns(
        _run(first, a, b),
        _run(second, b, a),
        changes(a, b),
        choices(a, b),
        numbers(_by_table(a), _by_table(b)),
        work(a, b),
    )


def _run(folder: Path, made: Made, other: Made) -> OneRun:
    seeds = sorted({receipt.seed for receipt in made.values()})
    theirs = entries(other)
    machines = machine_words(run_facts(receipt.folder) for receipt in made.values())
    return OneRun(str(folder), seeds, machines, [name for name in entries(made) if name not in theirs])


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _by_table(made: Made) -> Results:
    tables: dict[str, list[Receipt]] = {}
    for receipt in made.values():
        tables.setdefault(receipt.table, []).append(receipt)
    return Results(tables)


def _options(one: Change) -> dict[str, Any]:
    """Without the side that has no such option."""
    return {key: value for key, value in asdict(one).items() if value != MISSING}


def _plain(one: Numbers) -> dict[str, Any]:
    rows = [_row(row) for row in one.rows]
    return {**{k: v for k, v in vars(one).items() if k not in ("rows", "digits")}, "rows": rows}


def _row(row: Row) -> dict[str, Any]:
    interval = row.interval
    return {
        "name": row.name,
        "a": row.a,
        "b": row.b,
        "difference": row.difference.mean,
        "by_seed": dict(row.difference.by_seed),
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "interval": row.kind,
        "verdict": row.words,
    }
