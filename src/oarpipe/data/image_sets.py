"""Any set of images that can be measured, opened by its path and streamed in a fixed order.

A results folder (a dataset, a sample set, a search's best), ADM's .npz or an .npy, or a folder of images.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from oarpipe.base.files import hash_of, sha256
from oarpipe.base.identity import Identity
from oarpipe.base.receipts import RECEIPT, Receipt, checked, read_receipt
from oarpipe.config.datasets import ArraysConfig, Split
from oarpipe.data.images import open_images
from oarpipe.data.parallel import in_parallel
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.sources import Source, open_source
from oarpipe.data.sources.files import EncodedFiles, is_image
from oarpipe.data.sources.listing import UNLABELLED, Found, Listing, Place, arrange
from oarpipe.data.transforms import centre_crop
from oarpipe.errors import BadInput

ARRAYS = (".npz", ".npy")


@dataclass(frozen=True)
class ImageSet:
    """`count` images; `digest` is of their content and order, `labels` are their classes, if known.

    stream(256) gives uint8 [B, H, W, 3], all images once.
    """

    name: str
    digest: str
    count: int
    stream: Callable[[int], Iterator[UInt8[np.ndarray, "B H W 3"]]]
    labels: Int[np.ndarray, " n"] | None = None


def open_image_set(
    path: Path, *, split: Split = "all", resolution: int | None = None, digest: str = ""
) -> ImageSet:
    """The images at `path`; `split` is for datasets, `resolution` crops files to squares as ADM does.

    Without a resolution, images that lie in files must be of one size. `digest` is the hash of a file of
    arrays, if it is known. `BadInput` or `IncompleteData` say what is missing.
    """
    if (path / RECEIPT).is_file() or path.name == RECEIPT:
        return _of_results(read_receipt(path), split)
    if path.suffix.lower() in ARRAYS:
        source = open_source(ArraysConfig(kind="arrays", path=str(path), test_every=None))
        digest = digest or (sha256(path) if path.is_file() else "")
        return _of_source(path.name, source, resolution, digest=digest)
    return _of_source(path.name, _ImageFolder(path), resolution)


def _of_results(receipt: Receipt, split: Split) -> ImageSet:
    whole = checked(receipt.folder, receipt.table)
    if receipt.table == "datasets":
        source = open_images(whole)
        rows = source.index.rows(split)
        known = Identity.of_split(whole.name, whole.digest, split, len(rows))

        def stream(size: int) -> Iterator[UInt8[np.ndarray, "B H W 3"]]:
            return (source.load(rows[begin : begin + size]) for begin in range(0, len(rows), size))

        return ImageSet(known.name, known.digest, len(rows), stream, source.index.label[rows])
    if receipt.table in ("samples", "searches"):
        store = SampleStore.open(whole.folder / "samples.zarr")
        return ImageSet(
            whole.folder.name,
            whole.digest,
            store.count,
            lambda size: (batch["images"] for batch in store.batches(size)),
            store.read("labels"),
        )
    raise BadInput(f"{receipt.folder}: holds {receipt.table}, expected images: a dataset or a sample set")


def _of_source(name: str, source: Source, resolution: int | None, digest: str = "") -> ImageSet:
    """Files or rows of an array, in the order of their listing."""
    listing = source.listing()
    places = [listing.place(row) for row in range(len(listing))]
    if not digest:
        hashes = in_parallel(lambda place: hashlib.sha256(source.content(place)).hexdigest(), places)
        digest = hash_of(list(hashes))

    def image(place: Place) -> UInt8[np.ndarray, "H W 3"]:
        try:
            picture = source.picture(place, source.content(place))
        except (BadInput, OSError) as error:
            raise BadInput(f"{source.where(place)}: not an image that can be read ({error})") from error
        return np.asarray(picture if resolution is None else centre_crop(picture, resolution))

    def stream(size: int) -> Iterator[UInt8[np.ndarray, "B H W 3"]]:
        batch: list[np.ndarray] = []
        for place, pixels in zip(places, in_parallel(image, places), strict=True):
            if batch and pixels.shape != batch[0].shape:
                raise BadInput(
                    f"{source.where(place)}: {_size(pixels)} pixels, others have {_size(batch[0])}; "
                    "give --resolution to crop all to one size"
                )
            batch.append(pixels)
            if len(batch) == size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    labels = None if listing.classes == [UNLABELLED] else listing.label
    return ImageSet(name, digest, len(listing), stream, labels)


def _size(pixels: UInt8[np.ndarray, "H W 3"]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"


class _ImageFolder(EncodedFiles):
    """Every image below a folder, at any depth, sorted by path."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listing(self) -> Listing:
        """All of one class."""
        if not self._root.is_dir():
            raise BadInput(f"{self._root}: no such file or folder; name images, or an .npz of them")
        files = sorted(file for file in self._root.rglob("*") if is_image(file.name) and file.is_file())
        if not files:
            raise BadInput(f"{self._root}: no images below this folder")
        found = [
            Found(file.relative_to(self._root).as_posix(), file.stat().st_size, UNLABELLED) for file in files
        ]
        return arrange(found, test_every=None)

    def file(self, place: Place) -> Path:
        """Below the folder."""
        return self._root / place.path
