"""Orders that leak: their extraction looked at the code that is to be predicted before it chose a place."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oarpipe.config.orders import leaks
from oarpipe.reports.arms import ancestors
from oarpipe.reports.results import Results


def leak_note(names: Sequence[str]) -> str:
    """What is to be known about these orders, for every page that shows them; nothing without names."""
    if not names:
        return ""
    return (
        f"By the score “truth”: {', '.join(names)}. It looks at the code that is to be predicted before it "
        "chooses a place, so these orders leak the target: what images cost in them is no likelihood, and no "
        "generation can follow them."
    )


def taught_by_leaks(results: Results) -> list[str]:
    """The extractions that leak and that the models of the table were tuned on, directly or before."""
    models, orders = results.recipes("models"), results.recipes("orders")
    lines = {name for arm in results.arms for name in (arm.model, *ancestors(arm.model, models))}
    read = {name for model in lines for name in _extractions(models[model].get("order", {}))}
    return sorted(name for name in read if leaks(orders[name]["policy"]))


def _extractions(source: Mapping[str, Any]) -> Iterator[str]:
    """Whatever extraction an order source reads."""
    for value in source.values():
        if isinstance(value, Mapping):
            yield from _extractions(value)
    if "orders" in source:
        yield source["orders"]
