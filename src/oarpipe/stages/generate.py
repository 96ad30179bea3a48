"""Generates images: the same walk without the truth (paper §4.5), shard by shard of the store."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.agreement import check_tokenizer_of, check_tokens_of, checked_head
from oarpipe.base.log import progress
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.base.shards import Shard
from oarpipe.base.stopping import until_stopped
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig

if TYPE_CHECKING:
    from oarpipe.decoding.generation import Generator


def generate(
    recipe: Recipe[SamplesConfig],
    *,
    model: Path,
    tokenizer: Path,
    orders: list[Path] | None = None,
    head: Path | None = None,
    out: Path,
    shard: Shard | None = None,
) -> None:
    """Draws this shard's samples into the store; store shards that are there already are kept."""
    network, images = checked(model, "models"), checked(tokenizer, "tokenizers")
    tables = [checked(path, "orders") for path in orders or []]
    check_tokenizer_of(network, images)
    check_tokens_of(network, tables)
    heads = checked_head(recipe.entry.policy, network, head)
    stage = Stage(
        recipe, out, inputs={"model": network, "tokenizer": images, "orders": tables, "head": heads}
    )
    shard = shard or Shard(1, 1)
    if not stage.is_done(shard):
        guided = recipe.entry.guidance.scale != 1.0
        generator = load_generator(stage, recipe, network, images, tables, heads, guided=guided)
        fill_store(generator, stage, shard, f"{recipe.table}/{recipe.name} {shard}")
    stage.finish_shard(shard)


def load_generator(
    stage: Stage,
    recipe: Recipe[SamplesConfig],
    model: Receipt,
    tokenizer: Receipt,
    tables: list[Receipt],
    heads: list[Receipt],
    *,
    guided: bool,
) -> "Generator":
    """A sample set's generator, its networks loaded; a batch left to the machine is settled for `stage`."""
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import Orders
    from oarpipe.decoding.batches import fitting_batch
    from oarpipe.decoding.generation import Generator
    from oarpipe.models import load_model
    from oarpipe.models.order_head import load_head
    from oarpipe.tokenizers import load_tokenizer

    device = pick_device()
    written = {table.name: Orders.read(table.folder / "orders.parquet") for table in tables}
    entry = recipe.entry
    network = load_model(model.folder, device, entry.precision)
    images = load_tokenizer(tokenizer.folder).to(device)
    batch = entry.batch
    if batch == "auto":
        choose = partial(
            fitting_batch, network, entry.policy, entry.precision, most=entry.shard, guided=guided
        )
        batch = int(stage.settle("batch", choose))
    head = load_head(heads[0].folder, device) if heads else None
    return Generator(network, images, entry, recipe.seed, written, batch=batch, head=head)


def fill_store(generator: "Generator", stage: Stage, shard: Shard, what: str) -> None:
    """Draws what is missing of a shard's share into the stage's `samples.zarr`, not yet published."""
    from oarpipe.data.sample_store import SampleStore
    from oarpipe.data.sharded import unpublished
    from oarpipe.decoding.generation import joined

    store = SampleStore.create(
        unpublished(stage.state / "samples.zarr", stage.out / "samples.zarr"),
        count=generator.config.count,
        resolution=generator.resolution,
        grid=generator.model.grid,
        shard=generator.config.shard,
    )
    missing = set(store.missing())
    todo = [i for i in shard.of(range(store.shards)) if i in missing]
    for i in until_stopped(progress(todo, what, unit="shard")):
        store.write_shard(i, **joined(list(generator.blocks(store.range_of(i)))))
    stage.counts |= generator.exact_steps.facts()
