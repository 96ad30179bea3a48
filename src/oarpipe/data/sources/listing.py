"""What every kind of dataset answers: which images there are, and the bytes and picture of one of them."""

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, Int64
from PIL import Image

from oarpipe.errors import BadInput

LARGEST_LABEL = 65535
UNLABELLED = "all"  # the one class of images without labels


class Place(NamedTuple):
    """Where an image's bytes lie: `offset` counts within the file or archive that `path` begins with."""

    path: str
    split: str
    offset: int
    size: int


class Found(NamedTuple):
    """An image before classes are numbered and test images held out; `split` is None where none is named."""

    path: str
    size: int
    label: str
    split: str | None = None
    offset: int = 0
    captions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """All images of a dataset, not yet looked at; row i of every column is one image.

    `offset` is None where every image is a file of its own. `ignored` are other files that lie
    there, `rejected` what was listed as an image but cannot be one, each with the reason. A listing that
    `is_fixed` can never come out otherwise.
    """

    path: list[str]
    size: Int64[np.ndarray, " n"]
    label: Int32[np.ndarray, " n"]
    split: list[str]
    classes: list[str]
    offset: Int64[np.ndarray, " n"] | None = None
    captions: list[tuple[str, ...]] | None = None
    ignored: Sequence[tuple[str, str]] = field(default=())
    rejected: Sequence[tuple[str, str]] = field(default=())
    is_fixed: bool = False

    def __len__(self) -> int:
        return len(self.path)

    def place(self, row: int) -> Place:
        """Where the image of a row lies."""
        offset = 0 if self.offset is None else int(self.offset[row])
        return Place(self.path[row], self.split[row], offset, int(self.size[row]))

    def fingerprint(self) -> str:
        """A hash of names, sizes, labels, splits and captions, which changes when they do; none if fixed."""
        if self.is_fixed:
            return ""
        columns = [self.path, self.size.tolist(), self.label.tolist(), self.split, self.classes]
        told = [columns, self.captions, list(self.rejected)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@runtime_checkable
class Source(Protocol):
    """One kind of dataset. Its methods are called from several threads at once."""

    def listing(self) -> Listing:
        """Every image; `BadInput` says what is missing, unreadable or ambiguous."""

    def content(self, place: Place) -> bytes:
        """The bytes of an image; an `OSError` says why they cannot be read."""

    def picture(self, place: Place, content: bytes) -> Image.Image:
        """These bytes as 8-bit RGB; `BadInput` gives the reason why they are no picture."""

    def where(self, place: Place) -> str:
        """The image's name in messages."""


def arrange(
    found: Sequence[Found],
    *,
    test_every: int | None,
    may_number: bool = False,
    is_archive: bool = False,
    has_captions: bool = False,
    ignored: Sequence[tuple[str, str]] = (),
    rejected: Sequence[tuple[str, str]] = (),
) -> Listing:
    """Numbers the classes by sorted name, and holds out test images where none are named.

    With `may_number`, labels that are all numbers are the classes' own.
    """
    classes = class_names((image.label for image in found), may_number=may_number)
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[image.label] for image in found], np.int32)
    drawn = class_split(labels, test_every)
    names_tests = any(image.split == "test" for image in found)
    return Listing(
        path=[image.path for image in found],
        size=np.array([image.size for image in found], np.int64),
        label=labels,
        split=[
            image.split or ("train" if names_tests else own) for image, own in zip(found, drawn, strict=True)
        ],
        classes=classes,
        offset=np.array([image.offset for image in found], np.int64) if is_archive else None,
        captions=[image.captions for image in found] if has_captions else None,
        ignored=ignored,
        rejected=rejected,
    )


def class_names(labels: Iterable[str], *, may_number: bool = False) -> list[str]:
    """The classes, sorted or numbered from 0; `BadInput` if two differ only by case."""
    names = sorted(set(labels))
    if may_number and names and all(_is_number(name) for name in names):
        largest = max(map(int, names))
        if largest > LARGEST_LABEL:
            raise BadInput(
                f"label {largest}: numbers go from 0 to {LARGEST_LABEL}; give the classes names instead"
            )
        return [str(i) for i in range(largest + 1)]
    spelt: dict[str, str] = {}
    for name in names:
        other = spelt.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
        if other != name:
            raise BadInput(f"classes '{other}' and '{name}' differ only by case; rename one, or merge them")
    return names


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and str(int(name)) == name


def class_split(labels: Sequence[int] | Int32[np.ndarray, " n"], test_every: int | None) -> list[str]:
    """Within each class every `test_every`-th image is a test image; a smaller class has none."""
    seen: dict[int, int] = {}
    split = []
    for label in labels:
        seen[int(label)] = seen.get(int(label), 0) + 1
        is_test = test_every is not None and seen[int(label)] % test_every == 0
        split.append("test" if is_test else "train")
    return split


def check_test_classes(train: Iterable[Found], test: Iterable[Found], where: str | Path) -> None:
    """`BadInput` if test images are of classes that have no training image."""
    strangers = sorted({image.label for image in test} - {image.label for image in train})
    if strangers:
        raise BadInput(
            f"{where}: {len(strangers)} classes have no training images, the first being '{strangers[0]}'; "
            "name the classes as the training images do"
        )
