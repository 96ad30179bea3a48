"""How fast the machine is: the figures of the benchmark that a book's report names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oarpipe.base.files import read_json
from oarpipe.reports.results import Results

FACTS = "benchmark.json"


@dataclass(frozen=True)
class Timings:
    """One section of a benchmark; `rows` are as `benchmark.json` has them."""

    title: str
    model: str
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Speed:
    """A benchmark for the page."""

    name: str
    machine: Mapping[str, Any]
    goals: Sequence[Mapping[str, Any]]
    timings: Sequence[Timings]


def speeds(results: Results) -> list[Speed]:
    """The report's benchmark, if it names one; sections without times (memory, profile) stay in its files."""
    found = []
    for receipt in results.receipts.get("benchmarks", []):
        facts = read_json(receipt.folder / FACTS)
        timed = [section for section in facts["sections"].values() if "rows" in section]
        timings = [Timings(section["title"], section["model"], section["rows"]) for section in timed]
        found.append(Speed(receipt.name, facts["machine"], facts["goals"], timings))
    return found
