"""Checks that every shard of a generation is there, and publishes the sample store."""

from pathlib import Path

from oarpipe.base.attempts import Attempt
from oarpipe.base.files import remove
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig
from oarpipe.errors import IncompleteData

EXPORT = "samples.npz"


def merge_samples(
    recipe: Recipe[SamplesConfig],
    *,
    model: Path,
    tokenizer: Path,
    orders: list[Path] | None = None,
    head: Path | None = None,
    out: Path,
    npz: bool = False,
) -> None:
    """Moves the store that `generate` filled to `samples.zarr`; a missing shard is `IncompleteData`.

    With `npz` it also writes `samples.npz`, the form that ADM's evaluator reads, also of a finished set.
    """
    inputs: dict[str, Receipt | list[Receipt]] = {
        "model": checked(model, "models"),
        "tokenizer": checked(tokenizer, "tokenizers"),
        "orders": [checked(path, "orders") for path in orders or []],
        "head": [checked(head, "order_heads")] if head else [],
    }
    stage = Stage(recipe, out, inputs=inputs)
    if not stage.is_done():
        remove(out / EXPORT)
        _publish(stage)
    if npz:
        _export(stage)


def _export(stage: Stage) -> None:
    """Under the writer's mark, by which the next one finds what a kill left half written."""
    from oarpipe.data.sample_store import SampleStore

    attempt = Attempt(stage.out, stage.state, "")
    attempt.begin()
    SampleStore.open(stage.out / "samples.zarr").export_npz(stage.out / EXPORT)
    attempt.finish()


def _publish(stage: Stage) -> None:
    from oarpipe.data.sample_store import SampleStore
    from oarpipe.data.sharded import publish, unpublished

    out = stage.out
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
