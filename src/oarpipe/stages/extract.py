"""Writes down one order per image: the walk with the truth in hand (paper §4.3), part by part."""

from functools import partial
from pathlib import Path

from oarpipe.base.agreement import check_tokens, checked_head
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.base.shards import Shard
from oarpipe.base.stopping import until_stopped
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput


def extract(
    recipe: Recipe[OrdersConfig],
    *,
    model: Path,
    tokens: Path,
    orders: list[Path] | None = None,
    head: Path | None = None,
    out: Path,
    shard: Shard | None = None,
) -> None:
    """Extracts this shard's parts; those that are there already are kept, whoever made them."""
    inputs = {"model": checked(model, "models"), "tokens": checked(tokens, "tokens", hashed=())}
    written = [checked(path, "orders") for path in orders or []]
    check_tokens(inputs["tokens"], [inputs["model"], *written])
    heads = checked_head(recipe.entry.policy, inputs["model"], head)
    stage = Stage(recipe, out, inputs={**inputs, "orders": written, "head": heads})
    shard = shard or Shard(1, 1)
    if not stage.is_done(shard):
        _extract_parts(stage, inputs, written, heads, shard)
    stage.finish_shard(shard)


def _extract_parts(
    stage: Stage, inputs: dict[str, Receipt], written: list[Receipt], heads: list[Receipt], shard: Shard
) -> None:
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import Orders, part_name, part_ranges
    from oarpipe.data.token_store import TokenStore
    from oarpipe.decoding.batches import fitting_batch
    from oarpipe.decoding.extraction import OrderExtractor
    from oarpipe.models import load_model
    from oarpipe.models.order_head import load_head

    recipe = stage.recipe
    entry: OrdersConfig = recipe.entry
    store = TokenStore.open(inputs["tokens"].folder / "tokens.zarr")
    rows, views = store.rows_of(entry.split, entry.count), len(store.views)
    if not len(rows):
        raise BadInput(f"orders.{recipe.name}.split: there are no {entry.split} images to extract from")
    mine = shard.of(part_ranges(len(rows) * views, entry.part))
    todo = [part for part in mine if not (stage.state / part_name(part.start, part.stop)).is_file()]
    if len(todo) < len(mine):
        log.info("%d of this shard's %d parts are there already", len(mine) - len(todo), len(mine))
    # Of an archive that thousands of shards share, each reads and verifies its own rows.
    first, stop = (todo[0].start // views, -(-todo[-1].stop // views)) if todo else (0, 0)
    checked(inputs["tokens"].folder, "tokens", hashed=store.files_of(rows[first:stop]))
    tokens = store.read(rows[first:stop])
    provenance = {
        "fingerprint": stage.fingerprint,
        "model": inputs["model"].digest,
        "tokens": inputs["tokens"].digest,
        "grid": f"{store.grid.height}x{store.grid.width}",
        "policy": entry.policy.model_dump_json(),
        "temperature": str(entry.temperature),
        "guidance": str(entry.guidance),
        "precision": entry.precision,
        "split": entry.split,
    }
    model = load_model(inputs["model"].folder, pick_device(), entry.precision)
    batch = entry.batch
    if batch == "auto":
        choose = partial(
            fitting_batch,
            model,
            entry.policy,
            entry.precision,
            most=entry.part,
            guided=entry.guidance != 1.0,
        )
        batch = int(stage.settle("batch", choose))
    head = load_head(heads[0].folder, pick_device()) if heads else None
    tables = {table.name: Orders.read(table.folder / "orders.parquet") for table in written}
    extractor = OrderExtractor(
        model, tokens, entry, recipe.seed, provenance, batch=batch, first=first, tables=tables, head=head
    )
    for part in until_stopped(progress(todo, f"{recipe.table}/{recipe.name} {shard}", unit="part")):
        extractor.table(part).write(stage.state / part_name(part.start, part.stop))
    stage.counts |= extractor.exact_steps.facts()
