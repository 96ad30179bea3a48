"""Token sets as other projects write them down: RandAR's and LlamaGen's .npy, RAR's .jsonl, LPD's .npz."""

from collections.abc import Callable
from pathlib import Path

from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import Listing, read_rows
from oarpipe.data.layouts.llamagen import list_llamagen, write_llamagen
from oarpipe.data.layouts.lpd import list_lpd
from oarpipe.data.layouts.randar import list_randar, write_randar
from oarpipe.data.layouts.rar import list_rar
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import BadInput, IncompleteData

__all__ = ["WRITERS", "list_tokens", "read_rows"]

_LISTERS: dict[str, Callable[[Path, ImportedTokensConfig], Listing]] = {
    "randar": list_randar,
    "llamagen": list_llamagen,
    "rar": list_rar,
    "lpd": list_lpd,
}

# How a token set is written back, by name of the layout.
WRITERS: dict[str, Callable[[TokenSet, Path], None]] = {"randar": write_randar, "llamagen": write_llamagen}


def list_tokens(config: ImportedTokensConfig) -> Listing:
    """The samples of a published token set; `BadInput` or `IncompleteData` names what is wrong with it."""
    path = Path(config.path)
    if not path.exists():
        raise IncompleteData(f"{path}: no such file or folder; set the entry's `path` to the codes")
    fits = path.is_file() if config.kind == "rar" else path.is_dir()
    if not fits and not (config.kind == "randar" and path.suffix == ".tar"):
        wanted = {"rar": "the .jsonl file", "randar": "the folder or the tar"}.get(config.kind, "the folder")
        raise BadInput(
            f"{path}: expected {wanted} of the codes, as kind {config.kind} has it; mend the entry's `path`"
        )
    found = _LISTERS[config.kind](path, config)
    if config.count not in (None, len(found)):
        raise IncompleteData(
            f"{path}: {len(found):,} samples, expected the {config.count:,} of the entry's `count`; "
            "fetch what is missing, or mend `count`"
        )
    return found
