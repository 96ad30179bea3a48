"""Says how far two extractions agree: Kendall's tau, steps, scores."""

import json as plain
from pathlib import Path


def agreement(first: Path, second: Path, *, json: bool = False) -> None:
    """Compares the orders of the images that both have; the ratio is of the second's scores to the first's.

    oarpipe agreement results/b/seed-0/orders/exact results/b/seed-0/orders/lazy
    oarpipe agreement exact.parquet lazy.parquet --json
    """
    from oarpipe.data.order_table import OrderTable, rows_in_common
    from oarpipe.metrics.agreement import agreement as compared

    one, other = (OrderTable.read(_table_in(path)) for path in (first, second))
    ours, theirs = rows_in_common(one, other)
    facts = compared(one.order[ours], other.order[theirs], one.score[ours], other.score[theirs]).facts()
    if json:
        print(plain.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        print(
            f"{_MEANING[name]:<52}{value:>9,}" if name == "images" else f"{_MEANING[name]:<52}{value:>9.4f}"
        )


_MEANING = {
    "images": "images, each view for itself",
    "tau": "Kendall's tau, mean",
    "tau_error": "its standard error",
    "step_difference": "difference of a position's steps, mean",
    "same_share": "share of images whose orders are the same",
    "score_gap": "difference of the scores of a step, mean",
    "score_ratio": "all scores of the second over all of the first",
}


def _table_in(path: Path) -> Path:
    return path / "orders.parquet" if path.is_dir() else path
