"""LlamaGen's layout: `NAME_codes/i.npy`, int64 `[1, views, N]`, and `NAME_labels/i.npy`, `[1]`, i from 0.

Further pairs of folders hold further views of the same samples: others in the same folder, and, as
published, those in the sibling `…ten_crop_105` of a folder `…ten_crop`.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from oarpipe.base.log import log, progress
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import (
    BLOCK,
    THREADS,
    Listing,
    form,
    numbered_files,
    view_names,
    whole_numbers,
    write_folder,
)
from oarpipe.data.npy import read_npy, write_npy
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import BadInput, IncompleteData

_PIXELS = 16  # a token, along each side; folders are named after the images' size
_TEN_CROP = "ten_crop"  # how a folder of ten crops ends, of an image 1.1 times as large as a crop …
_FURTHER = "_105"  # … and what its sibling adds, of an image 1.05 times as large


def list_llamagen(root: Path, config: ImportedTokensConfig) -> Listing:
    """Ordered by running number; codes, labels and all views must be there for every one."""
    folders = _code_folders(root)
    count = _count(folders[0], config.count)
    for codes in folders[1:]:
        if _count(codes, config.count) != count:
            raise IncompleteData(f"{codes}: another number of files than the {count:,} of {folders[0]}")
    labels = _labels(folders, count, config.count)

    def each(row: int) -> list[np.ndarray]:
        names = [f"{folder}/{row}.npy" for folder in folders]
        return [whole_numbers(read_npy(name), name, (1, "views", "codes"))[0] for name in names]

    def read(row: int) -> np.ndarray:
        views = each(row)
        for folder, view in zip(folders, views, strict=True):
            if view.shape[1] != views[0].shape[1]:
                raise BadInput(
                    f"{folder}/{row}.npy: {form(view.shape)}, but {form(views[0].shape)} in {folders[0]}; "
                    "a set has one grid"
                )
        return np.concatenate(views)

    return Listing(
        sample_ids=np.arange(count, dtype=np.int64),
        labels=labels,
        classes=None,
        views=_views(folders, [len(view) for view in each(0)]),
        read=read,
        where=lambda row: f"{folders[0]}/{row}.npy",
    )


def write_llamagen(tokens: TokenSet, out: Path) -> None:
    """Every sample of all splits; second ten crops go to the sibling of `out`, where LlamaGen seeks them."""
    if not np.array_equal(tokens.sample_ids, np.arange(len(tokens))):
        raise BadInput(
            "the samples' ids are not 0, 1, 2, …, and LlamaGen's layout has no place for others; "
            "use --layout randar"
        )
    further = [i for i, view in enumerate(tokens.views) if view.endswith(_FURTHER)]
    plain = [i for i in range(len(tokens.views)) if i not in further]
    if further and not out.name.endswith(_TEN_CROP):
        raise BadInput(
            f"{out}: there are two sets of ten crops, and LlamaGen finds the second only beside a folder "
            f"whose name ends with '{_TEN_CROP}'; choose such a name"
        )
    if len(plain) > 1 and "flip" not in str(out):
        log.warning("%s: LlamaGen reads more than one view only from a path that holds the word 'flip'", out)
    _write(tokens, plain, out)
    if further:
        _write(tokens, further, out.with_name(f"{out.name}{_FURTHER}"))


def _write(tokens: TokenSet, views: list[int], out: Path) -> None:
    name = f"imagenet{_PIXELS * tokens.grid.height}"

    def write(folder: Path) -> None:
        codes_folder, labels_folder = folder / f"{name}_codes", folder / f"{name}_labels"
        codes_folder.mkdir(parents=True)
        labels_folder.mkdir()
        rows = progress(zip(tokens.tokens, tokens.labels, strict=True), "export", total=len(tokens))
        for i, (codes, label) in enumerate(rows):
            write_npy(codes_folder / f"{i}.npy", codes[None, views].astype(np.int64))
            write_npy(labels_folder / f"{i}.npy", np.array([label], np.int64))

    write_folder(out, write)


def _code_folders(root: Path) -> list[Path]:
    """The folders of codes, the shortest name (the plain crop) first."""
    further = [root.with_name(f"{root.name}{_FURTHER}")] if root.name.endswith(_TEN_CROP) else []
    found = [
        folder
        for each in (root, *further)
        for folder in sorted(each.glob("*_codes"), key=lambda folder: (len(folder.name), folder.name))
        if folder.is_dir()
    ]
    if not found:
        raise IncompleteData(
            f"{root}: no codes; expected {root}/NAME_codes and {root}/NAME_labels, as in imagenet256_codes"
        )
    return found


def _count(folder: Path, wanted: int | None) -> int:
    """How many files there are, `0.npy` to the last one without a gap.

    A distributed sampler gives every process as many images, and so some of the first ones twice, under
    the numbers after the last; where the true count is `wanted`, they are left out.
    """
    numbers = np.sort(numbered_files(folder)) if folder.is_dir() else np.empty(0, np.int64)
    if not len(numbers):
        raise IncompleteData(f"{folder}: no files; expected {folder}/0.npy and so on")
    gaps = np.flatnonzero(numbers != np.arange(len(numbers)))
    if len(gaps):
        raise IncompleteData(f"{folder}/{gaps[0]}.npy: missing, though later ones are there; fetch it again")
    if wanted is None or len(numbers) <= wanted:
        return len(numbers)
    log.info("%s: %d files beyond the `count` of %d are left out", folder, len(numbers) - wanted, wanted)
    return wanted


def _labels(folders: list[Path], count: int, wanted: int | None) -> Int64[np.ndarray, " n"]:
    """The samples' classes, on which all folders of labels must agree."""
    named = [folder.with_name(f"{folder.name.removesuffix('_codes')}_labels") for folder in folders]
    known: Int64[np.ndarray, " n"] | None = None
    for codes, folder in zip(folders, named, strict=True):
        if known is not None and not folder.is_dir():
            continue  # further views may come without their own labels
        if _count(folder, wanted) != count:
            raise IncompleteData(f"{folder}: another number of files than the {count:,} of {codes}")
        found = _read_labels(folder, count)
        if known is not None and not np.array_equal(known, found):
            row = int(np.flatnonzero(known != found)[0])
            raise BadInput(f"{folder}/{row}.npy: class {found[row]}, but {known[row]} in {named[0]}")
        known = found
    assert known is not None
    return known


def _read_labels(folder: Path, count: int) -> Int64[np.ndarray, " n"]:
    def block(start: int) -> list[int]:
        names = [f"{folder}/{row}.npy" for row in range(start, min(start + BLOCK, count))]
        return [int(whole_numbers(read_npy(name), name, (1,))[0]) for name in names]

    with ThreadPoolExecutor(THREADS) as pool:
        each = (label for labels in pool.map(block, range(0, count, BLOCK)) for label in labels)
        return np.fromiter(progress(each, "read labels", total=count, unit="files"), np.int64, count)


def _views(folders: list[Path], counts: list[int]) -> list[str]:
    """The names of all views, those of the second ten crops marked."""
    names = [
        name + _FURTHER if _TEN_CROP + _FURTHER in f"{folder.parent.name}/{folder.name}" else name
        for folder, count in zip(folders, counts, strict=True)
        for name in view_names(count)
    ]
    return names if len(set(names)) == len(names) else [f"view{i}" for i in range(len(names))]
