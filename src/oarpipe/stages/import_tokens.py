"""Packs codes that another project wrote down (RandAR, LlamaGen, RAR, LPD) into our token store."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Stage, checked
from oarpipe.base.stopping import until_stopped
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.base.grid import Grid
    from oarpipe.data.layouts.listing import Listing
    from oarpipe.data.token_store import TokenStore

_MANY_CLASSES = 100_000  # of a set that does not name its classes; more are no labels


def import_tokens(recipe: Recipe[ImportedTokensConfig], *, tokenizer: Path, out: Path) -> None:
    """Writes `tokens.zarr`, one row a sample; a killed run continues at the next shard."""
    receipt = checked(tokenizer, "tokenizers")
    stage = Stage(recipe, out, inputs={"tokenizer": receipt})
    if stage.is_done():
        return
    from oarpipe.data.layouts import list_tokens
    from oarpipe.data.sharded import publish, unpublished
    from oarpipe.data.token_store import TokenStore
    from oarpipe.tokenizers import load_tokenizer

    listing = list_tokens(recipe.entry)
    classes = _classes(listing, recipe)
    log.info("%d samples of %d classes, %d views each", len(listing), len(classes), len(listing.views))
    filled, published = stage.state / "tokens.zarr", out / "tokens.zarr"
    store = TokenStore.create(
        unpublished(filled, published),
        rows=len(listing),
        grid=_grid(listing),
        codebook=load_tokenizer(receipt.folder).codebook,
        classes=classes,
        views=listing.views,
        shard=recipe.entry.shard,
    )
    _fill(store, listing, recipe.entry.test_every)
    publish(filled, published)
    stage.finish("tokens.zarr")


def _classes(listing: "Listing", recipe: Recipe[ImportedTokensConfig]) -> list[str]:
    """The names of the classes, by number; `BadInput` names the first sample of a class beyond them."""
    wanted, named = recipe.entry.classes, listing.classes
    if wanted is not None and named is not None and wanted != len(named):
        raise BadInput(f"tokens.{recipe.name}.classes: {wanted}, but there are {len(named)} class folders")
    shown = min(int(listing.labels.max()) + 1, _MANY_CLASSES)
    count = wanted or (len(named) if named else shown)
    wrong = (listing.labels < 0) | (listing.labels >= count)
    if wrong.any():
        row = int(wrong.argmax())
        raise BadInput(
            f"{listing.where(row)}: class {listing.labels[row]}, expected 0..{count - 1}; mend it, or "
            f"tokens.{recipe.name}.classes"
        )
    return named or [str(label) for label in range(count)]


def _grid(listing: "Listing") -> "Grid":
    """The square grid that the first sample's codes fill."""
    from oarpipe.base.grid import Grid

    positions = listing.read(0).shape[1]
    side = math.isqrt(positions)
    if not positions or side**2 != positions:
        raise BadInput(f"{listing.where(0)}: {positions} codes a view, expected those of a square grid")
    return Grid(side, side)


def _fill(store: "TokenStore", listing: "Listing", test_every: int | None) -> None:
    """Reads the shards that are missing, and writes each when it is whole."""
    import numpy as np

    from oarpipe.data.layouts import read_rows
    from oarpipe.data.sources.listing import class_split
    from oarpipe.data.token_store import split_numbers

    splits = split_numbers(class_split(listing.labels.tolist(), test_every))
    missing = store.missing()
    waiting = sum(len(store.range_of(i)) for i in missing)
    if waiting < len(listing):
        log.info("%d of %d shards are already there", store.shards - len(missing), store.shards)
    begin = time.monotonic()
    rows = (
        codes
        for i in missing
        for codes in read_rows(
            listing, store.range_of(i), positions=store.grid.positions, codebook=store.codebook
        )
    )
    codes = progress(rows, "import", total=len(listing), done=len(listing) - waiting, unit="samples")
    for i in until_stopped(missing):
        whole = slice(store.range_of(i).start, store.range_of(i).stop)
        shard = np.stack([next(codes) for _ in store.range_of(i)])
        store.write_shard(i, shard, listing.labels[whole], listing.sample_ids[whole], splits[whole])
    if waiting:
        log.info("%.0f samples a second", waiting / (time.monotonic() - begin))
