"""The paper's Table 1 in miniature, the held-out likelihoods and the searches, as cells to be typeset."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oarpipe.reports.arms import NOTHING, Arm, ancestors, read_tuning
from oarpipe.reports.claims import PLAIN, number, signed
from oarpipe.reports.intervals import Series, Value, difference, resampled_means, spread
from oarpipe.reports.provenance import anchor
from oarpipe.reports.results import Results

# Metric, without its features' name -> heading, and whether lower (-1) or higher (1) is better.
METRICS = {
    "fd": ("fd", -1),
    "fid": ("FID", -1),
    "kd": ("kd", -1),
    "kid": ("KID", -1),
    "is": ("IS", 1),
    "precision": ("P", 1),
    "recall": ("R", 1),
    "accuracy": ("acc.", 1),
    "mean_step_distance": ("d", 0),
}
LIKELIHOOD_REPLICATES = 1000


@dataclass(frozen=True)
class Cell:
    """A number, what stands small below it, where it comes from, and whether it is `best` or `tied`."""

    text: str = "–"
    detail: str = ""
    href: str = ""
    mark: str = ""


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
                columns.append(Column(name, heading, direction, _decimals(short, values)))
    return columns


def _decimals(short: str, values: Sequence[float]) -> int:
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
        mean, deviation, interval = spread(measured[name])
        detail = ""
        if deviation is not None:
            detail = f"± {number(deviation, column.decimals)}"
        elif interval is not None:
            detail = f"{number(interval.low, column.decimals)} – {number(interval.high, column.decimals)}"
        mark = "best" if name == best else "tied" if best and _is_tied(measured[name], measured[best]) else ""
        cells[name] = Cell(number(mean, column.decimals), detail, _href(name, setting), mark)
    return cells


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


def likelihood_series(results: Results) -> dict[tuple[str, str], Series]:
    """Held-out NLL a token by (model, order): replicates resample the same images for all of a seed."""
    series: dict[tuple[str, str], dict[int, Value]] = {}
    for seed, content in results.information.items():
        keys = [(model, order) for model, orders in content["models"].items() for order in orders]
        if not keys:
            continue
        facts = [content["models"][model][order] for model, order in keys]
        columns = np.array([fact["per_sample"] for fact in facts], dtype=np.float64).T
        replicates = resampled_means(columns, LIKELIHOOD_REPLICATES)
        for i, (key, fact) in enumerate(zip(keys, facts, strict=True)):
            series.setdefault(key, {})[seed] = Value(float(fact["nll"]), tuple(replicates[:, i].tolist()))
    return dict(series)


@dataclass(frozen=True)
class LikelihoodTable:
    """Models by orders; a cell's detail is the change against the model's any-order base."""

    orders: Sequence[str]
    rows: Sequence[tuple[str, str, str, Sequence[Cell]]]


def likelihood_table(results: Results, series: Mapping[tuple[str, str], Series]) -> LikelihoodTable | None:
    """A row a model (name, what it was tuned on, colour key), a column an order; None without results."""
    if not series:
        return None
    models, sources = results.recipes("models"), results.recipes("orders")
    orders = list(dict.fromkeys(order for _, order in series))
    names = dict.fromkeys([arm.model for arm in results.arms] + [model for model, _ in series])
    anchors = [anchor("information", receipt.name) for receipt in results.receipts["information"]]
    rows = []
    for model in names:
        if model not in {m for m, _ in series}:
            continue
        tuning = read_tuning(model, models, sources)
        base = [model, *ancestors(model, models)][-1]
        cells = []
        for order in orders:
            own = series.get((model, order))
            against = series.get((base, order)) if model != base else None
            cells.append(_likelihood_cell(own, against, f"#{anchors[0]}") if own else Cell())
        what = "any-order base" if tuning.on == NOTHING else tuning.phrase
        rows.append((model, what, tuning.on, cells))
    return LikelihoodTable(orders, rows)


def _likelihood_cell(own: Series, base: Series | None, href: str) -> Cell:
    mean, _, _ = spread(own)
    found = difference(own, base) if base else None
    if found is None:
        return Cell(number(mean, 3), "", href)
    detail = signed(found.mean, 3)
    if found.interval is not None:
        detail += f" ({signed(found.interval.low, 3)} to {signed(found.interval.high, 3)})"
    better = found.interval is not None and found.interval.high < 0
    worse = found.interval is not None and found.interval.low > 0
    return Cell(number(mean, 3), detail, href, "lower" if better else "higher" if worse else "")


@dataclass(frozen=True)
class SearchTable:
    """One arm's grid: its distance at every temperature (rows) and guidance (columns), the best marked."""

    search: str
    arm: str
    seed: int
    facts: Mapping[str, Any]
    guidances: Sequence[float]
    rows: Sequence[tuple[float, Sequence[Cell]]]


def search_tables(results: Results) -> list[SearchTable]:
    """Every searched arm of the first seed, in the order of the main table."""
    places = {arm.name: i for i, arm in enumerate(results.arms)}
    found = [(r, c) for r, c in results.searches if r.seed == results.seed]
    tables = []
    for receipt, content in sorted(
        found, key=lambda one: (one[0].name, places.get(one[1]["arm"], len(places)))
    ):
        values = {(cell["temperature"], cell["guidance"]): cell["value"] for cell in content["grid"]}
        best = (content["best"]["temperature"], content["best"]["guidance"])
        guidances = sorted({g for _, g in values})
        rows = [
            (t, [_grid_cell(values.get((t, g)), (t, g) == best) for g in guidances])
            for t in sorted({t for t, _ in values})
        ]
        tables.append(SearchTable(receipt.name, content["arm"], receipt.seed, content, guidances, rows))
    return tables


def _grid_cell(value: float | None, is_best: bool) -> Cell:
    return Cell() if value is None else Cell(number(value, 2), mark="best" if is_best else "")
