"""Checks that every shard of a generation is there, and publishes the sample store."""

from pathlib import Path

from oarpipe.base.files import Receipt, Stage, checked
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig
from oarpipe.errors import IncompleteData


def merge_samples(
    recipe: Recipe[SamplesConfig],
    *,
    model: Path,
    tokenizer: Path,
    orders: list[Path] | None = None,
    out: Path,
) -> None:
    """Moves the store that `generate` filled to `samples.zarr`; a missing shard is `IncompleteData`."""
    inputs: dict[str, Receipt | list[Receipt]] = {
        "model": checked(model, "models"),
        "tokenizer": checked(tokenizer, "tokenizers"),
        "orders": [checked(path, "orders") for path in orders or []],
    }
    stage = Stage(recipe, out, inputs=inputs)
    if stage.is_done():
        return
    from oarpipe.data.sample_store import SampleStore
    from oarpipe.data.sharded import publish, unpublished

    filled, published = stage.state / "samples.zarr", out / "samples.zarr"
    store = SampleStore.open(unpublished(filled, published))
    missing = store.missing()
    if missing:
        ranges = ", ".join(f"{store.range_of(i).start}..{store.range_of(i).stop - 1}" for i in missing[:5])
        raise IncompleteData(
            f"{out}: {len(missing)} of {store.shards} shards are missing (samples {ranges}"
            f"{', ...' if len(missing) > 5 else ''}); run generate for every shard, then merge again"
        )
    publish(filled, published)
    stage.finish("samples.zarr")
