"""Held-out negative log-likelihood of every model in every order, and what tuning changed in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oarpipe.reports.arms import Tuning, ancestors, read_tuning
from oarpipe.reports.claims import number, signed
from oarpipe.reports.intervals import Series, Value, difference, resampled_means, spread
from oarpipe.reports.leaks import leak_note
from oarpipe.reports.provenance import anchor
from oarpipe.reports.results import Results
from oarpipe.reports.tables import Cell

REPLICATES = 1000


def likelihood_series(results: Results) -> dict[tuple[str, str], Series]:
    """Held-out NLL a token by (model, order): replicates resample the same images for all of a seed."""
    series: dict[tuple[str, str], dict[int, Value]] = {}
    for seed, content in results.information.items():
        keys = [(model, order) for model, orders in content["models"].items() for order in orders]
        if not keys:
            continue
        facts = [content["models"][model][order] for model, order in keys]
        columns = np.array([fact["per_sample"] for fact in facts], dtype=np.float64).T
        replicates = resampled_means(columns, REPLICATES)
        for i, (key, fact) in enumerate(zip(keys, facts, strict=True)):
            series.setdefault(key, {})[seed] = Value(float(fact["nll"]), tuple(replicates[:, i].tolist()))
    return dict(series)


@dataclass(frozen=True)
class LikelihoodRow:
    """A model, and a cell an order; a cell's detail is the change against the model's any-order base."""

    model: str
    tuning: Tuning
    cells: Sequence[Cell]


@dataclass(frozen=True)
class LikelihoodTable:
    """Models by orders, and behind these by holes; of some `note` says that they leak."""

    orders: Sequence[str]
    rows: Sequence[LikelihoodRow]
    note: str


def likelihood_table(results: Results, series: Mapping[tuple[str, str], Series]) -> LikelihoodTable | None:
    """A row a model, a column an order or hole; None without results."""
    if not series:
        return None
    models, sources = results.recipes("models"), results.recipes("orders")
    holes = {name for recipe in results.recipes("information").values() for name in recipe["holes"]}
    orders = sorted(dict.fromkeys(order for _, order in series), key=lambda name: name in holes)
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
        rows.append(LikelihoodRow(model, tuning, cells))
    leaking = {name for content in results.information.values() for name in content["leaking"]}
    return LikelihoodTable(orders, rows, leak_note([name for name in orders if name in leaking]))


def _likelihood_cell(own: Series, base: Series | None, href: str) -> Cell:
    mean, _, _ = spread(own)
    found = difference(own, base) if base else None
    if found is None:
        return Cell(number(mean, 3), "", href)
    detail = signed(found.mean, 3)
    if found.interval is not None:
        detail += f" ({signed(found.interval.low, 3)}\u00a0to\u00a0{signed(found.interval.high, 3)})"
    better = found.interval is not None and found.interval.high < 0
    worse = found.interval is not None and found.interval.low > 0
    return Cell(number(mean, 3), detail, href, "lower" if better else "higher" if worse else "")
