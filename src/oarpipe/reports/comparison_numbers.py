"""The numbers of two runs side by side: metrics and held-out likelihoods, and whether they differ by more
than chance.

Differences are b minus a. A number is compared only where both were measured alike; else the reason stands
in its place.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oarpipe.base.receipts import Receipt
from oarpipe.errors import IncompleteData
from oarpipe.metrics.measurements import Measurement, unlike
from oarpipe.reports.claims import Verdict, verdict_of
from oarpipe.reports.intervals import Difference, Interval, Series, Value, difference, is_paired, means
from oarpipe.reports.likelihoods import likelihood_series
from oarpipe.reports.results import Results
from oarpipe.reports.tables import METRICS, decimals

NLL = "nll"
STEP_DISTANCE = "mean_step_distance"
_TITLES = {
    NLL: "held-out likelihood, nats a token",
    STEP_DISTANCE: "d, mean distance between consecutive positions",
}
_FILES = {"evaluations": "metrics.json", "information": "information.json"}


@dataclass(frozen=True)
class Row:
    """A number in both runs: its means over the seeds they share, and b minus a.

    `direction` is -1 where lower is better, 1 where higher is, 0 where neither.
    """

    name: str
    measure: str
    a: float
    b: float
    difference: Difference
    is_paired: bool
    direction: int

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval, over seeds where there are enough of them."""
        return self.difference.interval

    @property
    def kind(self) -> str:
        """What the interval is over."""
        if self.interval is None:
            return ""
        if self.difference.over_seeds is not None:
            return f"{len(self.difference.by_seed)} seeds"
        return "images, paired" if self.is_paired else "images, unpaired"

    @property
    def verdict(self) -> Verdict:
        """For b, against it, or open; open also where neither direction is better."""
        if self.interval is not None and not self.direction:
            return Verdict.OPEN
        return verdict_of(self.difference, better=self.direction)

    @property
    def words(self) -> str:
        """The verdict on b in words."""
        if self.interval is None:
            return "no interval"
        if not self.interval.excludes_zero():
            return "not distinguishable"
        if not self.direction:
            return "higher" if self.interval.low > 0 else "lower"
        return "better" if self.verdict is Verdict.FOR else "worse"


@dataclass(frozen=True)
class Numbers:
    """A measure of an entry in both runs, a row a sample set (of likelihoods, a model and order).

    `same` names those of the very same content and value; `refused` says why nothing is compared.
    """

    entry: str
    measure: str
    convention: str
    direction: int
    digits: int
    rows: Sequence[Row]
    same: Sequence[str]
    refused: str | None = None

    @property
    def title(self) -> str:
        """What is measured, how, and which way is better."""
        better = {-1: "lower is better", 1: "higher is better", 0: ""}[self.direction]
        return ", ".join(filter(None, (_TITLES.get(self.measure, self.measure), self.convention, better)))


def numbers(a: Results, b: Results) -> list[Numbers]:
    """Every metric of every evaluation that both have, and the held-out likelihoods."""
    return [
        *(one for pair in _in_both(a, b, "evaluations") for one in _metrics(*pair)),
        *(_likelihoods(*pair) for pair in _in_both(a, b, "information")),
    ]


def _in_both(a: Results, b: Results, table: str) -> Iterator[tuple[str, Results, Results]]:
    """The entries of a table, each as results of its own, under the seeds that both runs have."""
    for name in dict.fromkeys(receipt.name for receipt in a.receipts.get(table, ())):
        ours, theirs = _made(a, table, name), _made(b, table, name)
        seeds = sorted(ours.keys() & theirs.keys())
        if seeds:
            first, second = (Results({table: [one[seed] for seed in seeds]}) for one in (ours, theirs))
            yield f"{table}.{name}", first, second


def _made(results: Results, table: str, name: str) -> dict[int, Receipt]:
    """The receipts of an entry by seed; `IncompleteData` if its numbers are not those that were written."""
    file = _FILES[table]
    made = [one for one in results.receipts.get(table, ()) if one.name == name and file in one.files]
    for one in made:
        damage = replace(one, files={file: one.files[file]}).damage()
        if damage:
            raise IncompleteData(f"{damage}; delete {one.folder} and run again to make it anew")
    return {one.seed: one for one in made}


@dataclass(frozen=True)
class _Side:
    """An evaluation of one run, by one convention."""

    evaluations: Mapping[int, Mapping[str, Any]]
    convention: str

    def sets(self) -> list[str]:
        """The sets that every seed has."""
        first, *others = (content["sets"] for content in self.evaluations.values())
        return [name for name in first if all(name in sets for sets in others)]

    def digests(self, name: str) -> list[str]:
        return [content["sets"][name]["digest"] for content in self.evaluations.values()]

    def measured(self, name: str, metric: str) -> dict[int, Measurement]:
        """By seed; of a distance between places, which no network measures, nothing."""
        found = {}
        for seed, content in self.evaluations.items():
            facts = content["sets"][name]["values"][self.convention].get(metric)
            if facts is not None:
                found[seed] = Measurement.read(facts)
        return found

    def metrics(self, name: str) -> list[str]:
        """What every seed has of a set."""
        told = [content["sets"][name] for content in self.evaluations.values()]
        first = [*told[0]["values"][self.convention], STEP_DISTANCE]
        return [m for m in first if all(_point(one, m, self.convention) is not None for one in told)]

    def series(self, name: str, metric: str) -> Series:
        """The metric by seed; of a distance between places, the same by any convention."""
        return {
            seed: Value(
                _point(one, metric, self.convention) or 0.0,
                tuple(one["replicates"].get(metric, ())),
                one["count"],
            )
            for seed, content in self.evaluations.items()
            for one in [content["sets"][name]]
        }


def _point(one: Mapping[str, Any], metric: str, convention: str) -> float | None:
    if metric == STEP_DISTANCE:
        distance: float | None = one["metrics"].get(metric)
        return distance
    facts = one["values"][convention].get(metric)
    return None if facts is None else float(facts["value"])


def _metrics(entry: str, a: Results, b: Results) -> Iterator[Numbers]:
    ours, theirs = _sides(a, b)
    sets = [name for name in ours.sets() if name in theirs.sets()]
    alike = [name for name in sets if ours.digests(name) == theirs.digests(name)]
    metrics = {name: [m for m in ours.metrics(name) if m in theirs.metrics(name)] for name in sets}
    measured = {metric for known in metrics.values() for metric in known}
    for metric in sorted(measured, key=_place):
        having = [name for name in sets if metric in metrics[name]]
        whys = (
            unlike(first, theirs.measured(name, metric)[seed])
            for name in having
            for seed, first in ours.measured(name, metric).items()
        )
        yield _numbers(
            entry,
            metric,
            "" if metric == STEP_DISTANCE else ours.convention,
            {name: (ours.series(name, metric), theirs.series(name, metric)) for name in having},
            alike,
            next((why for why in whys if why), None),
        )


def _place(metric: str) -> tuple[int, str]:
    """Metrics come in the order of the report's table."""
    short = metric.partition("[")[0]
    return list(METRICS).index(short) if short in METRICS else len(METRICS), metric


def _sides(a: Results, b: Results) -> tuple[_Side, _Side]:
    """By the convention that both have, the first of a's; where they share none, by the first of each."""
    ours, theirs = (next(iter(one.evaluations.values()))["conventions"] for one in (a, b))
    shared = [convention for convention in ours if convention in theirs]
    by = (shared[0], shared[0]) if shared else (ours[0], theirs[0])
    return _Side(a.evaluations, by[0]), _Side(b.evaluations, by[1])


def _likelihoods(entry: str, a: Results, b: Results) -> Numbers:
    reason = None
    for one, other in zip(a.receipts["information"], b.receipts["information"], strict=True):
        for what, first, second in (
            ("tokens", one.inputs["tokens"][:12], other.inputs["tokens"][:12]),
            ("splits", one.recipe["split"], other.recipe["split"]),
        ):
            if first != second:
                reason = reason or f"of different {what}, {first} and {second}"
    ours, theirs = likelihood_series(a), likelihood_series(b)
    keys = [key for key in ours if key in theirs]
    pairs = {", ".join(key): (ours[key], theirs[key]) for key in keys}
    alike = [", ".join(key) for key in keys if ours[key] == theirs[key]]
    return _numbers(entry, NLL, "", pairs, alike, reason)


def _numbers(
    entry: str,
    measure: str,
    convention: str,
    pairs: Mapping[str, tuple[Series, Series]],
    alike: Sequence[str],
    refused: str | None,
) -> Numbers:
    """`alike` names those that were measured of the very same content."""
    short = measure.partition("[")[0]
    direction = METRICS[short][1] if short in METRICS else -1
    rows, same = [], []
    for name, (ours, theirs) in ({} if refused else pairs).items():
        found = difference(theirs, ours)
        assert found is not None, f"{name}: no seed in common"
        if name in alike and not any(found.by_seed.values()):
            same.append(name)
            continue
        a, b = means(found, ours, theirs)
        paired = all(is_paired(ours[seed], theirs[seed]) for seed in found.by_seed)
        rows.append(Row(name, measure, a, b, found, paired, direction))
    return Numbers(entry, measure, convention, direction, _digits(measure, rows), rows, same, refused)


def _digits(measure: str, rows: Sequence[Row]) -> int:
    """The report's decimals, or as many more as show two digits of the largest difference; at most six."""
    points = [value for row in rows for value in (row.a, row.b)]
    usual = 3 if measure == NLL else decimals(measure.partition("[")[0], points)
    largest = max((abs(row.difference.mean) for row in rows), default=0.0)
    return min(6, max(usual, 1 - math.floor(math.log10(largest)))) if largest else usual
