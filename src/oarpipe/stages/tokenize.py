"""Turns every image of a dataset, in one view or several, into tokens."""

from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.distributed import leads, shared, world
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Stage, checked
from oarpipe.base.stopping import all_together, until_stopped
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import TokensConfig

if TYPE_CHECKING:
    from oarpipe.data.images import ImageSource
    from oarpipe.data.token_store import TokenStore
    from oarpipe.tokenizers.protocol import ImageTokenizer


def tokenize(recipe: Recipe[TokensConfig], *, dataset: Path, tokenizer: Path, out: Path) -> None:
    """Writes `tokens.zarr`, all splits, one row a sample; a killed run continues at the next shard.

    Several processes each write whole shards.
    """
    inputs = {"dataset": checked(dataset, "datasets"), "tokenizer": checked(tokenizer, "tokenizers")}
    stage = Stage(recipe, out, inputs=inputs)
    if stage.is_done():
        return
    from oarpipe.base.devices import pick_device
    from oarpipe.data.images import open_images
    from oarpipe.data.sharded import publish, unpublished
    from oarpipe.data.token_store import TokenStore
    from oarpipe.data.transforms import VIEWS
    from oarpipe.tokenizers import load_tokenizer

    images = open_images(inputs["dataset"])
    network = load_tokenizer(inputs["tokenizer"].folder).to(pick_device())
    filled, published = stage.state / "tokens.zarr", out / "tokens.zarr"
    store = TokenStore.create(
        unpublished(filled, published),
        rows=len(images.index),
        grid=network.grid(images.resolution),
        codebook=network.codebook,
        classes=images.index.classes,
        views=VIEWS[recipe.entry.views],
        shard=recipe.entry.shard,
    )
    missing = shared(store.missing)
    if len(missing) < store.shards:
        log.info("%d of %d shards are already there", store.shards - len(missing), store.shards)
    mine = missing[world().rank :: world().size]
    all_together(lambda: _fill(store, mine, images, network, recipe.entry))
    if leads():
        publish(filled, published)
        stage.finish("tokens.zarr")


def _fill(
    store: "TokenStore",
    missing: list[int],
    images: "ImageSource",
    tokenizer: "ImageTokenizer",
    entry: TokensConfig,
) -> None:
    """Encodes the shards that are missing, in batches that begin with the shard.

    Threads decode and crop two batches ahead, so that the tokenizer does not wait for the disk.
    """
    import numpy as np
    import torch

    from oarpipe.data.token_store import split_numbers

    index, batch = images.index, entry.batch
    splits = split_numbers(index.split)
    waiting = [
        rows[i : i + batch] for rows in map(store.range_of, missing) for i in range(0, len(rows), batch)
    ]
    shard: list[np.ndarray] = []
    ids = np.array([row for rows in waiting for row in rows], np.int64)
    pictures = images.stream(ids, entry.views, ahead=2 * batch)
    told = progress(waiting, "tokenize", unit="batches")
    for rows in until_stopped(told, begins=lambda rows: rows.start % store.shard == 0):
        pixels = np.stack([next(pictures) for _ in rows])  # [B A H W 3]
        views = [torch.from_numpy(np.ascontiguousarray(pixels[:, a])) for a in range(len(store.views))]
        codes = [tokenizer.encode(view.permute(0, 3, 1, 2)).cpu().numpy() for view in views]
        shard.append(np.stack(codes, axis=1))
        i = rows.start // store.shard
        if rows.stop == store.range_of(i).stop:
            whole = slice(store.range_of(i).start, rows.stop)
            store.write_shard(
                i, np.concatenate(shard), index.label[whole], index.sample_id[whole], splits[whole]
            )
            shard = []
