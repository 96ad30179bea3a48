"""Writes a model in the form in which RandAR and LlamaGen are published."""

from pathlib import Path

from oarpipe.base.log import log


def export_model(model: Path, *, out: Path) -> None:
    """Writes a model folder's weights under their published names; the number format stays.

    An imported model comes out as it came in, byte for byte of every tensor. Heads and grid are not in
    published files: pass them on with it.
    """
    from oarpipe.models.published import write_model

    written = write_model(model, out)
    log.info("wrote %s: %d heads, grid %s", out, written.heads, written.grid)
