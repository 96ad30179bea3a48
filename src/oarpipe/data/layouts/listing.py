"""What every layout is listed as, before its codes are read, and the reading of them by rows.

Rows follow the samples' own numbers, lines or names, never the order in which a file system happens to
list them.
"""

import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64

from oarpipe.base.files import write_atomically
from oarpipe.base.log import log
from oarpipe.data.parallel import in_parallel
from oarpipe.data.transforms import VIEWS
from oarpipe.errors import BadInput

BLOCK = 256  # rows a thread takes at once
THREADS = 16  # they wait for the file system, not for the processor
_VIEWS = {len(names): names for names in VIEWS.values()}


@dataclass(frozen=True)
class Listing:
    """A listed token set. `read(row)` gives codes `[views, N]`; `where(row)` names the file they are in."""

    sample_ids: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    classes: list[str] | None  # None: its classes have numbers only
    views: list[str]
    read: Callable[[int], np.ndarray]
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.labels)


def read_rows(
    listing: Listing, rows: range, *, positions: int, codebook: int
) -> Iterator[Int32[np.ndarray, "A N"]]:
    """The codes of rows, in order, read by threads; `BadInput` names a file of another form or codebook."""
    shape = (len(listing.views), positions)

    def block(start: int) -> Int32[np.ndarray, "n A N"]:
        those = range(start, min(start + BLOCK, rows.stop))
        codes = np.empty((len(those), *shape), np.int32)
        for i, row in enumerate(those):
            found = listing.read(row)
            if found.shape != shape:
                raise BadInput(
                    f"{listing.where(row)}: {form(found.shape)}, expected {form(shape)} as in "
                    f"{listing.where(0)}; a set has one grid and one number of views"
                )
            if found.min() < 0 or found.max() >= codebook:
                wrong = found[(found < 0) | (found >= codebook)][0]
                raise BadInput(
                    f"{listing.where(row)}: code {wrong}, but the tokenizer has {codebook:,} "
                    f"(0..{codebook - 1}); name the tokenizer that made these codes"
                )
            codes[i] = found
        return codes

    starts = range(rows.start, rows.stop, BLOCK)
    for codes in in_parallel(block, starts, ahead=2 * THREADS, threads=THREADS):
        yield from codes


def form(shape: Sequence[int]) -> str:
    """`2 views of 256 codes`."""
    return f"{shape[0]} view{'s' * (shape[0] != 1)} of {shape[1]} codes"


def whole_numbers(values: np.ndarray, name: str, shape: Sequence[int | str]) -> np.ndarray:
    """The values, if they are whole numbers of this shape (a text stands for any size)."""
    fits = values.ndim == len(shape) and all(
        isinstance(wanted, str) or wanted == size for wanted, size in zip(shape, values.shape, strict=True)
    )
    if not fits or values.dtype.kind not in "iu":
        found = ", ".join(map(str, values.shape))
        wanted = ", ".join(map(str, shape))
        raise BadInput(
            f"{name}: {values.dtype} of shape ({found}), expected whole numbers of shape ({wanted}); "
            "is the entry's `kind` right?"
        )
    return values


def view_names(count: int) -> list[str]:
    """The names of a sample's views: the picture, its mirror image, the ten crops; else numbers."""
    return list(_VIEWS.get(count) or (f"view{i}" for i in range(count)))


def numbered_files(folder: Path) -> Int64[np.ndarray, " n"]:
    """The numbers of a folder's files `<number>.npy`, as the file system lists them."""
    numbers, ignored = array("q"), 0
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, dot, suffix = entry.name.rpartition(".")
            if f"{dot}{suffix}" != ".npy":
                ignored += 1
            elif not is_number(stem):
                raise BadInput(f"{entry.path}: expected the file's name to be a number")
            else:
                numbers.append(int(stem))
    if ignored:
        log.info("%s: %d entries other than .npy files are ignored", folder, ignored)
    return np.array(numbers, np.int64)


def numbered_folders(folder: Path) -> list[int]:
    """The numbers of a folder's folders, ascending; files beside them are ignored."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    for name in names:
        if not is_number(name):
            raise BadInput(
                f"{folder / name}: expected folders named by numbers of classes; set the entry's `path` to "
                "the folder that holds them"
            )
    return sorted(map(int, names))


def write_folder(out: Path, write: Callable[[Path], None]) -> None:
    """Makes a folder that is whole or absent; `BadInput` if there is something already."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise BadInput(f"{out}: exists already; choose another --out, or remove it")
    write_atomically(out, write)


def is_number(name: str) -> bool:
    """A whole number written the one way that Python writes it."""
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0")
