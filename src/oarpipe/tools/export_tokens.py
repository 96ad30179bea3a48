"""Writes a token store back as RandAR or LlamaGen lay codes out, a file a sample."""

from pathlib import Path
from typing import Literal

from oarpipe.base.log import log
from oarpipe.base.receipts import checked


def export_tokens(tokens: Path, *, layout: Literal["randar", "llamagen"], out: Path) -> None:
    """Writes every sample of all splits, with all its views, into the new folder `out`.

    oarpipe export-tokens results/imagenet/seed-0/tokens/adm --layout randar --out codes
    """
    from oarpipe.data.layouts import WRITERS
    from oarpipe.data.token_store import TokenStore

    store = TokenStore.open(checked(tokens, "tokens").folder / "tokens.zarr")
    WRITERS[layout](store.read(), out)
    log.info("wrote %d samples into %s", store.rows, out)
