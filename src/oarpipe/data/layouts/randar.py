"""RandAR's layout: `CLASS/INDEX.npy`, int64 `[views, N]`; the index is the image's place in its dataset."""

from pathlib import Path

import numpy as np

from oarpipe.base.log import log, progress
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import (
    Listing,
    numbered_files,
    numbered_folders,
    view_names,
    whole_numbers,
    write_folder,
)
from oarpipe.data.npy import read_npy, write_npy
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import BadInput, IncompleteData


def list_randar(root: Path, config: ImportedTokensConfig) -> Listing:
    """Ordered by index, over all classes; an image of no class is missed, one of two classes is an error."""
    classes = numbered_folders(root)
    numbers = [numbered_files(root / str(label)) for label in classes]
    if not sum(map(len, numbers)):
        raise IncompleteData(f"{root}: no codes; expected {root}/CLASS/INDEX.npy, numbers both")
    ids = np.concatenate(numbers)
    order = np.argsort(ids, kind="stable")
    ids, labels = ids[order], np.repeat(np.array(classes, np.int64), list(map(len, numbers)))[order]

    def where(row: int) -> str:
        return f"{root}/{labels[row]}/{ids[row]}.npy"

    def read(row: int) -> np.ndarray:
        return whole_numbers(read_npy(where(row)), where(row), ("views", "codes"))

    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        row = int(twice[0])
        raise BadInput(f"{where(row)} and {where(row + 1)}: one image in two classes; remove one of them")
    lacking = int(ids[-1]) + 1 - len(ids)
    if lacking:
        log.warning("%s: %d of the images 0..%d have no codes", root, lacking, ids[-1])
    return Listing(
        sample_ids=ids, labels=labels, classes=None, views=view_names(len(read(0))), read=read, where=where
    )


def write_randar(tokens: TokenSet, out: Path) -> None:
    """Every sample of all splits, under its sample id."""

    def write(folder: Path) -> None:
        for label in np.unique(tokens.labels):
            (folder / str(label)).mkdir(parents=True)
        rows = zip(tokens.labels, tokens.sample_ids, tokens.tokens, strict=True)
        for label, sample, codes in progress(rows, "export", total=len(tokens), unit="files"):
            write_npy(folder / str(label) / f"{sample}.npy", codes.astype(np.int64))

    write_folder(out, write)
