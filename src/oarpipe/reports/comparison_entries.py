"""The entries of two runs side by side: what their recipes say, what came out, and how long it took."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oarpipe.base.files import read_json
from oarpipe.base.receipts import Receipt
from oarpipe.reports.provenance import run_facts
from oarpipe.reports.results import SEARCHED

MISSING = "–"  # in place of an option that an entry does not have

Made = Mapping[str, Receipt]  # by results folder


@dataclass(frozen=True)
class Change:
    """An option, and what it says in a and in b; `MISSING` where an entry has no such option."""

    option: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Work:
    """The folders of a table that both runs have: how many hold the same content, and why others do not.

    `recipe`: another recipe; `inputs`: the same recipe of other inputs; `result`: another result of the same
    recipe and inputs, so that code, packages or machine made the difference. Seconds are wall time.
    """

    table: str
    count: int
    same: int
    recipe: Sequence[str]
    inputs: Sequence[str]
    result: Sequence[str]
    seconds_a: float
    seconds_b: float

    @property
    def reasons(self) -> dict[str, Sequence[str]]:
        """Why folders differ, and which do so."""
        return {
            "other by its recipe": self.recipe,
            "other by its ingredients": self.inputs,
            "another result of the same recipe and ingredients (code, packages or machine)": self.result,
        }


def shown(value: Any) -> str:
    """An option's value as a book says it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def changes(a: Made, b: Made) -> list[Change]:
    """Every option in which the recipes of an entry differ, of the entries that both have finished."""
    ours, theirs = entries(a), entries(b)
    return [
        change
        for name, recipe in ours.items()
        if name in theirs
        for change in _changes(name, recipe, theirs[name])
    ]


def entries(made: Made) -> dict[str, Any]:
    """The recipe of every entry, by table.name; it is the same for all seeds."""
    return {f"{receipt.table}.{receipt.name}": receipt.recipe for receipt in made.values()}


def _changes(option: str, a: Any, b: Any) -> Iterator[Change]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in dict.fromkeys([*a, *b]):
            yield from _changes(f"{option}.{key}", a.get(key, MISSING), b.get(key, MISSING))
    elif a != b:
        yield Change(option, a, b)


def choices(a: Made, b: Made) -> list[Change]:
    """The searched arms, by folder, for which the runs chose different settings."""
    found = []
    for folder in a:
        if a[folder].table == "searches" and folder in b:
            ours, theirs = _chosen(a[folder]), _chosen(b[folder])
            if ours != theirs:
                found.append(Change(folder, ours, theirs))
    return found


def _chosen(receipt: Receipt) -> str:
    best = read_json(receipt.folder / SEARCHED)["best"]
    return f"T {best['temperature']:g}, g {best['guidance']:g}"


def work(a: Made, b: Made) -> list[Work]:
    """A line a table, of the folders that both runs have finished."""
    shared: dict[str, list[str]] = {}
    for folder, receipt in a.items():
        if folder in b:
            shared.setdefault(receipt.table, []).append(folder)
    return [_work(table, folders, a, b) for table, folders in shared.items()]


def _work(table: str, folders: Sequence[str], a: Made, b: Made) -> Work:
    why: dict[str, list[str]] = {"recipe": [], "inputs": [], "result": []}
    for folder in folders:
        ours, theirs = a[folder], b[folder]
        if ours.digest == theirs.digest:
            continue
        reason = "recipe" if ours.recipe != theirs.recipe else "inputs"
        why["result" if ours.fingerprint == theirs.fingerprint else reason].append(folder)
    seconds = [sum(run_facts(one[folder].folder).get("seconds", 0.0) for folder in folders) for one in (a, b)]
    return Work(
        table,
        len(folders),
        len(folders) - sum(map(len, why.values())),
        **why,
        seconds_a=seconds[0],
        seconds_b=seconds[1],
    )
