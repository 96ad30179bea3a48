"""The pictures of a dataset, by sample id: scikit-learn's digits, or a folder of images a class."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, Int64, UInt8
from PIL import Image, UnidentifiedImageError
from pydantic import TypeAdapter

from oarpipe.base.files import Receipt
from oarpipe.base.log import progress
from oarpipe.config.datasets import DatasetConfig, FolderConfig
from oarpipe.data.index import ImageIndex, digits_split, folder_split
from oarpipe.data.transforms import centre_crop, enlarge, to_rgb
from oarpipe.errors import BadInput, IncompleteData

T = TypeVar("T")
R = TypeVar("R")

_QUEUED = 4096  # images waiting for a thread at once
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# What Pillow raises for files that are no images, are cut short, or are too large to be meant.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError)


class ImageSource:
    """The images of an index as arrays; `read` gives one of them as uint8 `[resolution, resolution, 3]`."""

    def __init__(self, index: ImageIndex, resolution: int, read: Callable[[int], np.ndarray]) -> None:
        self.index = index
        self.resolution = resolution
        self._read = read

    def load(self, sample_ids: Int[np.ndarray, " B"]) -> UInt8[np.ndarray, "B H W 3"]:
        """RGB images in the order of the ids; `BadInput` or `IncompleteData` names an unusable file."""
        out = np.empty((len(sample_ids), self.resolution, self.resolution, 3), np.uint8)
        for i, image in enumerate(_in_parallel(self._read, sample_ids.tolist())):
            out[i] = image
        return out


def open_images(receipt: Receipt) -> ImageSource:
    """The images of a finished dataset (a receipt of the table `datasets`)."""
    index = ImageIndex.read(receipt.folder / "index.parquet")
    config: DatasetConfig = TypeAdapter(DatasetConfig).validate_python(receipt.recipe)
    if not isinstance(config, FolderConfig):
        return ImageSource(index, config.resolution, lambda i: enlarge(_digits()[0][i], config.resolution))
    return ImageSource(index, config.resolution, _FolderReader(Path(config.path), index, config.resolution))


def index_digits() -> ImageIndex:
    """scikit-learn's 1,797 digits; the sample id is the row there."""
    images, labels = _digits()
    return ImageIndex(
        sample_id=np.arange(len(images)),
        path=[f"sklearn.datasets.load_digits[{i}]" for i in range(len(images))],
        size=np.full(len(images), images[0].nbytes),
        digest=[hashlib.sha256(image.tobytes()).hexdigest() for image in images],
        label=labels.astype(np.int32),
        split=digits_split(labels.astype(np.int32)),
        classes=[str(digit) for digit in range(10)],
    )


def list_folder(folder: Path) -> list[Path]:
    """The images below a folder's class folders, sorted by class and name; `BadInput` if there are none."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; set the dataset's `path` to one with a folder a class")
    classes = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    files = {child: [file for file in sorted(child.rglob("*")) if _is_image(file)] for child in classes}
    if not files:
        raise BadInput(
            f"{folder}: no images; expected {folder}/CLASS/NAME with one of {', '.join(sorted(SUFFIXES))}"
        )
    for child, found in files.items():
        if not found:
            raise BadInput(f"{child}: no images, but every folder here is a class; fill it or remove it")
    return [file for found in files.values() for file in found]


def index_folder(folder: Path, test_every: int) -> ImageIndex:
    """One folder a class, sorted by name; every image is read once and must be readable."""
    files = list_folder(folder)
    paths = [file.relative_to(folder) for file in files]
    classes = sorted({path.parts[0] for path in paths})
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[path.parts[0]] for path in paths], np.int32)
    facts = list(progress(_in_parallel(_look_at, files), "index", total=len(files), unit="images"))
    return ImageIndex(
        sample_id=np.arange(len(files)),
        path=[path.as_posix() for path in paths],
        size=np.array([size for size, _ in facts], np.int64),
        digest=[digest for _, digest in facts],
        label=labels,
        split=folder_split(labels, test_every),
        classes=classes,
    )


class _FolderReader:
    """Reads one image of a folder, holding it against its digest in the index."""

    def __init__(self, folder: Path, index: ImageIndex, resolution: int) -> None:
        self._folder = folder
        self._index = index
        self._resolution = resolution

    def __call__(self, sample_id: int) -> np.ndarray:
        file = self._folder / self._index.path[sample_id]
        content = _bytes_of(file)
        if hashlib.sha256(content).hexdigest() != self._index.digest[sample_id]:
            raise IncompleteData(f"{file}: changed since it was indexed; run index again")
        return np.asarray(centre_crop(_decode(file, content), self._resolution))


def _look_at(file: Path) -> tuple[int, str]:
    """Size and hash of an image that can be decoded."""
    content = _bytes_of(file)
    _decode(file, content)
    return len(content), hashlib.sha256(content).hexdigest()


def _decode(file: Path, content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content)) as image:
            return to_rgb(image)
    except BadInput as error:
        raise BadInput(f"{file}: {error}") from error
    except _UNREADABLE as error:
        reason = "of no format that Pillow knows" if isinstance(error, UnidentifiedImageError) else error
        raise BadInput(
            f"{file}: not a readable image ({reason}); repair or remove it and run index again"
        ) from error


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise IncompleteData(f"{file}: cannot be read ({error.strerror}); run index again") from error


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _in_parallel(work: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """The results in order. Pillow decodes without Python's lock, so threads do; OMP_NUM_THREADS of them."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(granted) if granted.isdigit() and int(granted) > 0 else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(items), _QUEUED):
            yield from pool.map(work, items[start : start + _QUEUED])


@cache
def _digits() -> tuple[UInt8[np.ndarray, "n 8 8"], Int64[np.ndarray, " n"]]:
    """Gray values 0..255 (0..16 in scikit-learn) and labels."""
    from sklearn.datasets import load_digits  # takes a second, and only digits need it

    bunch: Any = load_digits()
    images: Float[np.ndarray, "n 8 8"] = bunch.images
    return np.rint(images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int64)
