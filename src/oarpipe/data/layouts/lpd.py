"""LPD's layout: `CLASS/NAME.npz` with the codes of the picture, `indices`, and of its mirror image."""

import os
from pathlib import Path

import numpy as np

from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import Listing, view_names
from oarpipe.data.npy import read_npz
from oarpipe.errors import BadInput, IncompleteData

_ARRAYS = ("indices", "indices_flip")


def list_lpd(root: Path, config: ImportedTokensConfig) -> Listing:
    """Ordered by class and name, as torchvision numbers an image folder; the classes are the folders."""
    with os.scandir(root) as entries:
        classes = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    names, labels = [], []
    for label, folder in enumerate(classes):
        with os.scandir(root / folder) as entries:
            found = sorted(entry.name for entry in entries if entry.name.endswith(".npz"))
        if not found:
            raise IncompleteData(f"{root / folder}: no .npz files, but every folder here is a class")
        names += [f"{folder}/{name}" for name in found]
        labels += [label] * len(found)
    if not names:
        raise IncompleteData(f"{root}: no codes; expected {root}/CLASS/NAME.npz")

    def where(row: int) -> str:
        return f"{root}/{names[row]}"

    def read(row: int) -> np.ndarray:
        codes = [values.reshape(-1) for values in read_npz(where(row), _ARRAYS)]
        if len(codes[0]) != len(codes[1]) or any(view.dtype.kind not in "iu" for view in codes):
            raise BadInput(f"{where(row)}: expected as many whole numbers in both of {' and '.join(_ARRAYS)}")
        return np.stack(codes)

    return Listing(
        sample_ids=np.arange(len(names), dtype=np.int64),
        labels=np.array(labels, np.int64),
        classes=classes,
        views=view_names(len(_ARRAYS)),
        read=read,
        where=where,
    )
