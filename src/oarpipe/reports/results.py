"""A book's results as plain data: receipts, run facts and JSON of every seed, grouped by table and name.

What is large (images, orders) stays on disk; the gallery and the order maps read it where they show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from oarpipe.base.files import read_json
from oarpipe.base.receipts import RECEIPT, Receipt, read_receipt
from oarpipe.config.tables import TABLES
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData, nearest
from oarpipe.metrics.measurements import Measurement, check_comparable
from oarpipe.reports.arms import Arm, Recipes, read_arm, told_apart
from oarpipe.reports.claims import PLAIN
from oarpipe.reports.intervals import Series, Value

SEARCHED = "search.json"
# Entries; arms of searches and the features of evaluations; what is of all seeds.
_RECEIPTS = tuple(f"{folder}/{RECEIPT}" for folder in ("seed-*/*/*", "seed-*/*/*/*", "reports/*"))


@dataclass(frozen=True)
class Results:
    """Everything a report shows, by table; each list holds all names and seeds."""

    receipts: Mapping[str, Sequence[Receipt]]

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds that were evaluated."""
        return sorted(self.evaluations)

    @property
    def seed(self) -> int:
        """The seed whose pictures are shown: the first."""
        return self.seeds[0]

    @cached_property
    def evaluations(self) -> dict[int, dict[str, Any]]:
        """metrics.json by seed."""
        found = {r.seed: read_json(r.folder / "metrics.json") for r in self.receipts["evaluations"]}
        if not found:
            raise IncompleteData(
                "a report needs an evaluation; give --evaluation at least one results folder"
            )
        networks = {content["features"]["digest"] for content in found.values()}
        if len(networks) > 1:
            raise FingerprintMismatch(
                f"the evaluations of seeds {', '.join(map(str, sorted(found)))} measured with different "
                "feature networks, so their numbers do not compare; evaluate all seeds with one"
            )
        _check_references(found)
        return found

    @cached_property
    def information(self) -> dict[int, dict[str, Any]]:
        """information.json by seed."""
        return {r.seed: read_json(r.folder / "information.json") for r in self.receipts["information"]}

    @cached_property
    def searches(self) -> list[tuple[Receipt, dict[str, Any]]]:
        """Each searched arm's receipt and search.json, over all seeds."""
        return [(r, read_json(r.folder / SEARCHED)) for r in self.receipts["searches"]]

    def recipes(self, table: str) -> Recipes:
        """The recipes of a table by name; they are the same for every seed."""
        return {receipt.name: receipt.recipe for receipt in self.receipts[table]}

    @cached_property
    def arms(self) -> list[Arm]:
        """The rows of the table, in the paper's order."""
        models, orders = self.recipes("models"), self.recipes("orders")
        arms = [read_arm(name, recipe, models, orders) for name, recipe in self.recipes("samples").items()]
        return told_apart(sorted(arms, key=lambda arm: arm.place))

    @cached_property
    def settings(self) -> list[str]:
        """The plain setting, and the searches by name."""
        searches = [one["search"] for e in self.evaluations.values() for one in e["sets"].values()]
        return [PLAIN, *dict.fromkeys(name for name in searches if name is not None)]

    def measured(self, arm: str, setting: str) -> dict[int, dict[str, Any]]:
        """One sample set's entries in the evaluations, by seed; empty where it was not measured."""
        search = None if setting == PLAIN else setting
        return {
            seed: one
            for seed, content in self.evaluations.items()
            for one in content["sets"].values()
            if (one["name"], one["search"]) == (arm, search)
        }

    def series(self, arm: str, setting: str, metric: str) -> Series:
        """One metric of one sample set, by seed, with its bootstrap replicates."""
        return {
            seed: Value(
                float(one["metrics"][metric]),
                tuple(one.get("replicates", {}).get(metric, ())),
                one.get("count"),
            )
            for seed, one in self.measured(arm, setting).items()
            if one["metrics"].get(metric) is not None
        }

    @cached_property
    def distance(self) -> str:
        """The name of the Fréchet distance that was measured: `fid`, or `fd[NAME]`."""
        names = [n for e in self.evaluations.values() for one in e["sets"].values() for n in one["metrics"]]
        return next((n for n in names if n == "fid" or n.startswith("fd[")), "fd")

    def receipt(self, table: str, name: str, seed: int) -> Receipt | None:
        """The receipt of an entry under a seed; of tables made once for all seeds, the only one."""
        found = [r for r in self.receipts[table] if r.name == name]
        return next((r for r in found if r.seed == seed), found[0] if len(found) == 1 else None)

    def search_folder(self, search: str, arm: str, seed: int) -> Path | None:
        """Where a searched arm's samples lie."""
        found = [
            receipt.folder
            for receipt, content in self.searches
            if (receipt.name, content["arm"], receipt.seed) == (search, arm, seed)
        ]
        return found[0] if found else None


def finished(results: Path) -> dict[str, Receipt]:
    """The receipts of a book's finished entries by folder, table by table; `BadInput` if there are none."""
    if not results.is_dir():
        beside = [one.name for one in results.parent.glob("*") if one.is_dir()]
        raise BadInput(f"{results}: no such folder; {nearest(results.name, beside)}")
    files = sorted(file for pattern in _RECEIPTS for file in results.glob(pattern))
    if not files:
        raise BadInput(
            f"{results}: nothing finished in it; name the results of a book, such as results/digits"
        )
    receipts = sorted(map(read_receipt, files), key=lambda one: list(TABLES).index(one.table))
    return {one.folder.relative_to(results).as_posix(): one for one in receipts}


def _check_references(evaluations: Mapping[int, Mapping[str, Any]]) -> None:
    """`FingerprintMismatch` if a metric was measured differently, or against different references."""
    first: dict[tuple[str, str], Measurement] = {}
    for seed, content in sorted(evaluations.items()):
        for one in content["sets"].values():
            for convention, values in one.get("values", {}).items():
                for metric, facts in values.items():
                    found = Measurement.read(facts)
                    try:
                        check_comparable(first.setdefault((convention, metric), found), found)
                    except FingerprintMismatch as error:
                        raise FingerprintMismatch(
                            f"the evaluations of seeds {min(evaluations)} and {seed}: {error}"
                        ) from error
