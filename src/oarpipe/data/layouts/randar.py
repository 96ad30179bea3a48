"""RandAR's layout: `CLASS/INDEX.npy`, int64 `[views, N]`; the index is the image's place in its dataset.

The files lie in folders, or in the tar that is published.
"""

from array import array
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from oarpipe.base.log import log, progress
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import (
    Listing,
    is_number,
    numbered_files,
    numbered_folders,
    view_names,
    whole_numbers,
    write_folder,
)
from oarpipe.data.npy import parse_npy, read_npy, write_npy
from oarpipe.data.sources.tar import tar_members
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import BadInput, IncompleteData


def list_randar(root: Path, config: ImportedTokensConfig) -> Listing:
    """Ordered by index, over all classes; an image of no class is missed, one of two classes is an error."""
    found = _in_tar(root) if root.is_file() else _in_folders(root)
    if not len(found):
        raise IncompleteData(f"{root}: no codes; expected {root}/CLASS/INDEX.npy, numbers both")
    ids, labels, begins, sizes = found[np.argsort(found[:, 0], kind="stable")].T

    def where(row: int) -> str:
        return f"{root}/{labels[row]}/{ids[row]}.npy"

    def read(row: int) -> np.ndarray:
        if root.is_file():
            values = parse_npy(_between(root, int(begins[row]), int(sizes[row])), where(row))
        else:
            values = read_npy(where(row))
        return whole_numbers(values, where(row), ("views", "codes"))

    twice = np.flatnonzero(ids[1:] == ids[:-1])
    if len(twice):
        row = int(twice[0])
        raise BadInput(f"{where(row)} and {where(row + 1)}: one image in two classes; remove one of them")
    lacking = int(ids[-1]) + 1 - len(ids)
    if lacking:
        log.warning("%s: %d of the images 0..%d have no codes", root, lacking, ids[-1])
    return Listing(
        sample_ids=np.ascontiguousarray(ids),
        labels=np.ascontiguousarray(labels),
        classes=None,
        views=view_names(len(read(0))),
        read=read,
        where=where,
    )


def _in_folders(root: Path) -> Int64[np.ndarray, "n 4"]:
    """Index and class of every file; where it begins, and how long it is, are not asked for."""
    parts = [np.empty((0, 4), np.int64)]
    for label in numbered_folders(root):
        ids = numbered_files(root / str(label))
        parts.append(
            np.stack([ids, np.full_like(ids, label), np.zeros_like(ids), np.zeros_like(ids)], axis=1)
        )
    return np.concatenate(parts)


def _in_tar(file: Path) -> Int64[np.ndarray, "n 4"]:
    """Index, class, begin and size of every member, as the tar is published; it need not be unpacked."""
    log.info("%s: listing its members", file)
    found = array("q")
    for member in progress(tar_members(file), "list", unit="files"):
        *_, folder, name = ["", *member.name.split("/")]
        stem, dot, suffix = name.rpartition(".")
        if f"{dot}{suffix}" != ".npy":
            continue
        if not (is_number(folder) and is_number(stem)):
            raise BadInput(f"{file}: {member.name} is not named CLASS/INDEX.npy, numbers both")
        found.extend((int(stem), int(folder), member.offset_data, member.size))
    return np.array(found, np.int64).reshape(-1, 4)


def _between(file: Path, begin: int, size: int) -> bytes:
    with file.open("rb", buffering=0) as handle:
        handle.seek(begin)
        return handle.read(size)


def write_randar(tokens: TokenSet, out: Path) -> None:
    """Every sample of all splits, under its sample id."""

    def write(folder: Path) -> None:
        for label in np.unique(tokens.labels):
            (folder / str(label)).mkdir(parents=True)
        rows = zip(tokens.labels, tokens.sample_ids, tokens.tokens, strict=True)
        for label, sample, codes in progress(rows, "export", total=len(tokens), unit="files"):
            write_npy(folder / str(label) / f"{sample}.npy", codes.astype(np.int64))

    write_folder(out, write)
