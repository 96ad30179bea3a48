"""Puts the parts of an extraction together to one checked table of orders."""

from pathlib import Path

from oarpipe.base.receipts import Stage, checked
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import IncompleteData


def merge_orders(
    recipe: Recipe[OrdersConfig],
    *,
    model: Path,
    tokens: Path,
    orders: list[Path] | None = None,
    head: Path | None = None,
    out: Path,
) -> None:
    """Writes `orders.parquet`; a missing or broken part, order or sample is `IncompleteData` naming it."""
    inputs = {"model": checked(model, "models"), "tokens": checked(tokens, "tokens")}
    written = [checked(path, "orders") for path in orders or []]
    heads = [checked(head, "order_heads")] if head else []
    stage = Stage(recipe, out, inputs={**inputs, "orders": written, "head": heads})
    if stage.is_done():
        return
    from oarpipe.data.order_table import merge_parts, part_name, part_ranges
    from oarpipe.data.token_store import TokenStore

    store = TokenStore.open(inputs["tokens"].folder / "tokens.zarr")
    samples, views = store.sample_ids(recipe.entry.split, recipe.entry.count), len(store.views)
    parts = [
        stage.state / part_name(rows.start, rows.stop)
        for rows in part_ranges(len(samples) * views, recipe.entry.part)
    ]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise IncompleteData(
            f"{stage.state}: {len(missing)} of {len(parts)} parts are missing ({', '.join(missing[:5])}"
            f"{', ...' if len(missing) > 5 else ''}); run extract for every shard, then merge again"
        )
    merge_parts(parts, samples, views, out / "orders.parquet")
    stage.finish("orders.parquet")
