"""Images in one array: .npy, or .npz as ADM writes it; read row by row from where they lie."""

import threading
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from oarpipe.config.datasets import ArraysConfig
from oarpipe.data.sources.files import read_at
from oarpipe.data.sources.listing import UNLABELLED, Found, Listing, Place, arrange, check_test_classes
from oarpipe.errors import BadInput

IMAGES, LABELS = "arr_0.npy", "arr_1.npy"  # ADM's names, as members of the .npz
_LOCAL_HEADER = 30  # bytes of a zip member's local header before its name


class ArraySource:
    """Train images in one file and, if wanted, test images in another."""

    def __init__(self, config: ArraysConfig) -> None:
        self._files = {"train": _ArrayFile(config.path, config.labels)}
        if config.test_path is not None:
            self._files["test"] = _ArrayFile(config.test_path, config.test_labels)
        self._test_every = config.test_every

    def listing(self) -> Listing:
        """Every row of the arrays."""
        has_tests = "test" in self._files
        found = self._files["train"].found("train" if has_tests else None)
        if has_tests:
            tests = self._files["test"].found("test")
            check_test_classes(found, tests, self._files["test"].path)
            found += tests
        return arrange(found, test_every=self._test_every, may_number=True, is_archive=True)

    def content(self, place: Place) -> bytes:
        """The bytes of the row."""
        return self._file(place).content(place)

    def picture(self, place: Place, content: bytes) -> Image.Image:
        """The row as it is."""
        return Image.fromarray(np.frombuffer(content, np.uint8).reshape(self._file(place).shape[1:]))

    def where(self, place: Place) -> str:
        """The file and the row."""
        return f"{self._file(place).path}[{place.path.rpartition('[')[2]}"

    def _file(self, place: Place) -> "_ArrayFile":
        return self._files[place.split if "test" in self._files else "train"]


class _ArrayFile:
    """One file of images; its header is read once, when it is first needed."""

    def __init__(self, path: str, labels: str | None) -> None:
        self.path = Path(path)
        self._labels = Path(labels) if labels else None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, height, width, 3."""
        return self._layout[0]

    def found(self, split: str | None) -> list[Found]:
        """Every row with its label and place."""
        shape, begin = self._layout
        labels = self._read_labels(shape[0])
        size = int(np.prod(shape[1:]))
        return [
            Found(f"{self.path.name}[{i}]", size, label, split, (begin or 0) + i * size)
            for i, label in enumerate(labels)
        ]

    def content(self, place: Place) -> bytes:
        """One row, from the disk; of a compressed file, from memory."""
        if self._layout[1] is not None:
            return read_at(self.path, place.offset, place.size)
        with self._lock:
            flat = self._unpacked
        return flat[place.offset : place.offset + place.size].tobytes()

    @cached_property
    def _layout(self) -> tuple[tuple[int, ...], int | None]:
        """The array's shape, and the byte of the file at which it begins; None in a compressed file."""
        try:
            if self.path.suffix.lower() != ".npz":
                with self.path.open("rb") as handle:
                    return self._shape(handle), handle.tell()
            with zipfile.ZipFile(self.path) as archive, archive.open(IMAGES) as member:
                shape, header = self._shape(member), member.tell()
                info = archive.getinfo(IMAGES)
            if info.compress_type != zipfile.ZIP_STORED:
                return shape, None
            local = read_at(self.path, info.header_offset, _LOCAL_HEADER)
            names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
            return shape, info.header_offset + _LOCAL_HEADER + names + header
        except KeyError as error:
            raise BadInput(f"{self.path}: no array arr_0; expected ADM's layout, arr_0 and arr_1") from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise _unreadable(self.path, error) from error

    def _shape(self, handle: Any) -> tuple[int, ...]:
        """Reads an array's header; `BadInput` if it is not uint8 [n, H, W, 3]."""
        read: Any = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, is_fortran, dtype = read[np.lib.format.read_magic(handle)](handle)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or is_fortran or 0 in shape:
            order = ", columns first" if is_fortran else ""
            raise BadInput(
                f"{self.path}: images are {dtype} {list(shape)}{order}, expected uint8 [n, H, W, 3]"
            )
        return tuple(map(int, shape))

    @cached_property
    def _unpacked(self) -> UInt8[np.ndarray, " bytes"]:
        with np.load(self.path, allow_pickle=False) as arrays:
            images: np.ndarray = arrays[Path(IMAGES).stem]
            return images.reshape(-1)

    def _read_labels(self, count: int) -> list[str]:
        labels = self._label_array()
        if labels is None:
            return [UNLABELLED] * count
        if labels.shape != (count,) or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise BadInput(
                f"{self._labels or self.path}: labels are {labels.dtype} {list(labels.shape)}, "
                f"expected {count} integers from 0"
            )
        return [str(label) for label in labels.tolist()]

    def _label_array(self) -> np.ndarray | None:
        labels: np.ndarray | None = None
        try:
            if self._labels is not None:
                labels = np.load(self._labels, allow_pickle=False)
            elif self.path.suffix.lower() == ".npz":
                with np.load(self.path, allow_pickle=False) as arrays:
                    labels = arrays.get(Path(LABELS).stem)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise _unreadable(self._labels or self.path, error) from error
        return labels


def _unreadable(path: Path, error: Exception) -> BadInput:
    if isinstance(error, BadInput):
        return error
    return BadInput(f"{path}: not a readable array ({' '.join(str(error).split())}); check `path`")
