"""Any two arms beside each other: every paired difference that the page may be asked for."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from oarpipe.reports.claims import capital
from oarpipe.reports.intervals import Series, difference, means
from oarpipe.reports.pictures import Pictures, setting_title
from oarpipe.reports.results import Results
from oarpipe.reports.tables import Column


def side_by_side(results: Results, shown: Pictures, columns: Sequence[Column]) -> dict[str, Any]:
    """Plain data for the page's script.

    `sides` are the sets of samples in the page's order, `columns` the metrics, and `differences["i-j"]` holds
    for each metric the means of sides i < j, i minus j, and its 95 % interval; null where that is unknown.
    """
    sides = [(one.arm, pair.setting) for one in shown.arms for pair in one.pairs]
    series = [[results.series(arm.name, setting, c.metric) for c in columns] for arm, setting in sides]
    return {
        "sides": [f"{capital(arm.phrase)}, {setting_title(setting)}" for arm, setting in sides],
        "columns": [
            {"name": c.metric, "heading": c.heading, "direction": c.direction, "decimals": c.decimals}
            for c in columns
        ],
        "differences": {
            f"{i}-{j}": [_difference(a, b) for a, b in zip(series[i], series[j], strict=True)]
            for i, j in combinations(range(len(sides)), 2)
        },
    }


def _difference(left: Series, right: Series) -> list[float | None] | None:
    found = difference(left, right)
    if found is None:
        return None
    interval = found.interval
    edges = (interval.low, interval.high) if interval else (None, None)
    return [
        None if value is None else float(f"{value:.7g}")
        for value in (*means(found, left, right), found.mean, *edges)
    ]
