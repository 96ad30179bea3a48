"""The paper's Table 1 in miniature, and the searches behind its best settings, as cells to be typeset."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oarpipe.reports.arms import Arm
from oarpipe.reports.claims import PLAIN, number
from oarpipe.reports.intervals import Series, difference, spread
from oarpipe.reports.provenance import anchor
from oarpipe.reports.results import Results

# Metric, without its features' name -> heading, and whether lower (-1) or higher (1) is better.
METRICS = {
    "fd": ("fd", -1),
    "fid": ("FID", -1),
    "sfd": ("sfd", -1),
    "sfid": ("sFID", -1),
    "kd": ("kd", -1),
    "kid": ("KID", -1),
    "is": ("IS", 1),
    "precision": ("P", 1),
    "recall": ("R", 1),
    "accuracy": ("acc.", 1),
    "mean_step_distance": ("d", 0),
}


@dataclass(frozen=True)
class Cell:
    """A number, what stands small below it, where it comes from, and whether it is `best` or `tied`.

    `hint` is shown to who points at it; `value` is the number unrounded, for those who take the table along.
    """

    text: str = "–"
    detail: str = ""
    href: str = ""
    mark: str = ""
    value: float | None = None
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """A metric of the table: its key in the evaluations, heading, direction and decimals."""

    metric: str
    heading: str
    direction: int
    decimals: int

    @property
    def arrow(self) -> str:
        """Which way is better."""
        return {-1: "↓", 1: "↑", 0: ""}[self.direction]


@dataclass(frozen=True)
class Row:
    """An arm and its cells: for each setting, the setting's words and one cell a metric."""

    arm: Arm
    groups: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True)
class MainTable:
    """A row an arm, a group of columns a setting; `floor` holds the metrics of the other split."""

    settings: Sequence[str]
    columns: Sequence[Column]
    rows: Sequence[Row]
    floor: Mapping[str, str]


def main_table(results: Results) -> MainTable:
    """The table, its best value of every column marked, and what cannot be told from the best."""
    columns = _columns(results)
    cells: dict[tuple[str, str], list[Cell]] = {}
    for setting in results.settings:
        by_column = [_column_cells(results, setting, column) for column in columns]
        for arm in results.arms:
            cells[arm.name, setting] = [column[arm.name] for column in by_column]
    rows = [
        Row(arm, [(setting_words(results, arm.name, s), cells[arm.name, s]) for s in results.settings])
        for arm in results.arms
    ]
    return MainTable(results.settings, columns, rows, _floor(results, columns))


def _columns(results: Results) -> list[Column]:
    names = dict.fromkeys(
        name for e in results.evaluations.values() for one in e["sets"].values() for name in one["metrics"]
    )
    columns = []
    for short, (heading, direction) in METRICS.items():
        for name in names:
            if name.partition("[")[0] == short:
                values = [
                    value.point
                    for arm in results.arms
                    for setting in results.settings
                    for value in results.series(arm.name, setting, name).values()
                ]
                columns.append(Column(name, heading, direction, decimals(short, values)))
    return columns


def decimals(short: str, values: Sequence[float]) -> int:
    """Two, but three for shares and as many as show three digits of a kernel distance."""
    if short in ("precision", "recall", "accuracy"):
        return 3
    typical = float(np.median(np.abs(values))) if values else 0.0
    if short in ("kd", "kid") and typical > 0:
        return min(6, max(2, 2 - math.floor(math.log10(typical))))
    return 2


def _column_cells(results: Results, setting: str, column: Column) -> dict[str, Cell]:
    every = {arm.name: results.series(arm.name, setting, column.metric) for arm in results.arms}
    measured = {name: series for name, series in every.items() if series}
    best = ""
    if column.direction and measured:
        best = min(measured, key=lambda name: -column.direction * spread(measured[name])[0])
    cells = {}
    for name in every:
        if name not in measured:
            cells[name] = Cell()
            continue
        mark = "best" if name == best else "tied" if best and _is_tied(measured[name], measured[best]) else ""
        cell = value_cell(measured[name], column.decimals)
        detail = cell.detail if column.metric == results.distance or len(results.seeds) > 1 else ""
        cells[name] = replace(cell, detail=detail, href=_href(name, setting), mark=mark)
    return cells


def value_cell(series: Series, decimals: int) -> Cell:
    """The mean, and below it its standard deviation over seeds, or of one seed its bootstrap interval."""
    mean, deviation, interval = spread(series)
    detail = ""
    if deviation is not None:
        detail = f"± {number(deviation, decimals)}"
    elif interval is not None:
        detail = f"{number(interval.low, decimals)} – {number(interval.high, decimals)}"
    return Cell(number(mean, decimals), detail, value=mean, hint=detail)


def _is_tied(series: Series, best: Series) -> bool:
    """Whether the paired interval of the difference from the best holds zero."""
    found = difference(series, best)
    return found is not None and found.interval is not None and not found.interval.excludes_zero()


def _href(arm: str, setting: str) -> str:
    return "#" + (anchor("samples", arm) if setting == PLAIN else anchor("searches", setting, arm))


def setting_words(results: Results, arm: str, setting: str) -> str:
    """`T 0.8, g 1.5`; where seeds chose differently, all that were chosen."""
    chosen = [one["setting"] for one in results.measured(arm, setting).values()]
    return " · ".join(dict.fromkeys(f"T {one['temperature']:g}, g {one['guidance']:g}" for one in chosen))


def _floor(results: Results, columns: Sequence[Column]) -> dict[str, str]:
    floors = {}
    for column in columns:
        values = [
            e["floor"][column.metric] for e in results.evaluations.values() if column.metric in e["floor"]
        ]
        if values:
            floors[column.metric] = number(float(np.mean(values)), column.decimals)
    return floors


@dataclass(frozen=True)
class SearchTable:
    """One arm's grid: its distance at every temperature (rows) and guidance (columns), the best marked.

    `verdict` says how sure the choice is: how many other cells cannot be told from the best.
    """

    search: str
    arm: str
    seed: int
    facts: Mapping[str, Any]
    guidances: Sequence[float]
    rows: Sequence[tuple[float, Sequence[Cell]]]
    verdict: str


def search_tables(results: Results) -> list[SearchTable]:
    """Every searched arm of the first seed, in the order of the main table."""
    places = {arm.name: i for i, arm in enumerate(results.arms)}
    found = [(r, c) for r, c in results.searches if r.seed == results.seed]
    tables = []
    for receipt, content in sorted(
        found, key=lambda one: (one[0].name, places.get(one[1]["arm"], len(places)))
    ):
        best = content["best"]
        cells = {(one["temperature"], one["guidance"]): _grid_cell(one, best) for one in content["grid"]}
        guidances = sorted({g for _, g in cells})
        rows = [(t, [cells.get((t, g), Cell()) for g in guidances]) for t in sorted({t for t, _ in cells})]
        tables.append(
            SearchTable(
                receipt.name, content["arm"], receipt.seed, content, guidances, rows, _verdict(content)
            )
        )
    return tables


def _grid_cell(cell: Mapping[str, Any], best: Mapping[str, Any]) -> Cell:
    """A cell's distance; of the best its interval too, of others whether they can be told from it."""
    if cell == best:
        is_resampled = cell.get("low") is not None
        detail = f"{number(cell['low'], 2)} – {number(cell['high'], 2)}" if is_resampled else ""
        return Cell(number(cell["value"], 2), detail, mark="best")
    return Cell(number(cell["value"], 2), mark="tied" if _may_be_best(cell) else "")


def _may_be_best(cell: Mapping[str, Any]) -> bool:
    """Whether the paired interval of the cell's distance above the best holds zero."""
    gap = cell.get("above_best")
    return gap is not None and bool(gap[0] <= 0 <= gap[1])


def _verdict(content: Mapping[str, Any]) -> str:
    others = [cell for cell in content["grid"] if cell != content["best"]]
    if content["best"].get("above_best") is None:
        return "not resampled"
    if not others:
        return "the only setting"
    tied = sum(map(_may_be_best, others))
    if not tied:
        return f"clearly the best of {len(others) + 1} settings"
    return f"{tied} of {len(others)} other settings not distinguishable"
