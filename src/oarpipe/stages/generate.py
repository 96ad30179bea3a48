"""Generates images: the same walk without the truth (paper §4.5), shard by shard of the store."""

from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.agreement import check_tokens_of
from oarpipe.base.files import Receipt, Stage, checked
from oarpipe.base.log import progress
from oarpipe.base.shards import Shard
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
    out: Path,
    shard: Shard | None = None,
) -> None:
    """Draws this shard's samples into the store; store shards that are there already are kept."""
    network, images = checked(model, "models"), checked(tokenizer, "tokenizers")
    tables = [checked(path, "orders") for path in orders or []]
    check_tokens_of(network, tables)
    stage = Stage(recipe, out, inputs={"model": network, "tokenizer": images, "orders": tables})
    shard = shard or Shard(1, 1)
    if not stage.is_done():
        generator = load_generator(recipe, network, images, tables)
        fill_store(generator, stage, shard, f"{recipe.table}/{recipe.name} {shard}")
    stage.finish_shard(shard)


def load_generator(
    recipe: Recipe[SamplesConfig], model: Receipt, tokenizer: Receipt, tables: list[Receipt]
) -> "Generator":
    """A sample set's generator, its networks loaded."""
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import OrderTable
    from oarpipe.decoding.generation import Generator
    from oarpipe.models import load_model
    from oarpipe.tokenizers import load_tokenizer

    device = pick_device()
    written = {table.name: OrderTable.read(table.folder / "orders.parquet") for table in tables}
    network = load_model(model.folder, device, recipe.entry.precision)
    images = load_tokenizer(tokenizer.folder).to(device)
    return Generator(network, images, recipe.entry, recipe.seed, written)


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
    for i in progress(todo, what, unit="shard"):
        store.write_shard(i, **joined(list(generator.blocks(store.range_of(i)))))
