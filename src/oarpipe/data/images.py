"""The pictures of a dataset as arrays, by sample id, each held against its digest in the index."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from pydantic import TypeAdapter

from oarpipe.base.noise import Stream, uniform
from oarpipe.base.receipts import Receipt
from oarpipe.config.datasets import DatasetConfig
from oarpipe.config.tokenizers import Crop, Views
from oarpipe.data.index import ImageIndex
from oarpipe.data.parallel import AHEAD, in_parallel
from oarpipe.data.sources import Source, open_source
from oarpipe.data.transforms import DRAWS, centre_crop, random_crop, random_resized_crop, views_of
from oarpipe.errors import BadInput, IncompleteData

Cut = Callable[[Image.Image], UInt8[np.ndarray, "size size 3"]]


class ImageSource:
    """The images of an index; `resolution` is the side of what `load` gives, in pixels."""

    def __init__(self, index: ImageIndex, resolution: int, source: Source) -> None:
        self.index = index
        self.resolution = resolution
        self._source = source

    def load(self, sample_ids: Int[np.ndarray, " B"]) -> UInt8[np.ndarray, "B H W 3"]:
        """Centre crops in the order of the ids; `BadInput` or `IncompleteData` names an unusable file."""
        return self._load(sample_ids, [self._centre_crop] * len(sample_ids))

    def load_at_random(
        self, sample_ids: Int[np.ndarray, " B"], visits: Int[np.ndarray, " B"], *, crop: Crop, seed: int
    ) -> UInt8[np.ndarray, "B H W 3"]:
        """A random part of each image, the same for the same visit (counted through the run) and seed."""
        draws = uniform(seed, Stream.CROP, torch.from_numpy(visits)[:, None], 0, torch.arange(DRAWS))
        cut = random_crop if crop == "random" else random_resized_crop
        return self._load(
            sample_ids, [partial(cut, size=self.resolution, draws=own) for own in draws.tolist()]
        )

    def _load(self, sample_ids: Int[np.ndarray, " B"], crops: Sequence[Cut]) -> UInt8[np.ndarray, "B H W 3"]:
        out = np.empty((len(sample_ids), self.resolution, self.resolution, 3), np.uint8)
        pairs = zip(sample_ids.tolist(), crops, strict=True)
        for i, image in enumerate(in_parallel(lambda pair: pair[1](self.picture(pair[0])), pairs)):
            out[i] = image
        return out

    def stream(
        self, sample_ids: Int[np.ndarray, " n"], views: Views, *, ahead: int = AHEAD
    ) -> Iterator[UInt8[np.ndarray, "A H W 3"]]:
        """Each image's views, in the order of the ids; threads work `ahead` images ahead of the caller."""
        return in_parallel(
            lambda i: views_of(self.picture(i), self.resolution, views), sample_ids.tolist(), ahead=ahead
        )

    def first_view(self, sample_ids: Int[np.ndarray, " B"], views: Views) -> UInt8[np.ndarray, "B H W 3"]:
        """What view 0 of a token store with these views shows: the centre, but of ten crops the first."""
        return np.stack([each[0] for each in self.stream(sample_ids, views)])

    def picture(self, sample_id: int) -> Image.Image:
        """The whole image, 8-bit RGB, upright."""
        place = self.index.place(sample_id)
        try:
            content = self._source.content(place)
        except OSError as error:
            reason = error.strerror or error
            raise IncompleteData(
                f"{self._source.where(place)}: cannot be read ({reason}); run index again"
            ) from error
        if hashlib.sha256(content).hexdigest() != self.index.digest[sample_id]:
            raise IncompleteData(
                f"{self._source.where(place)}: changed since it was indexed; run index again"
            )
        try:
            return self._source.picture(place, content)
        except BadInput as error:
            raise BadInput(f"{self._source.where(place)}: {error}") from error

    def _centre_crop(self, picture: Image.Image) -> UInt8[np.ndarray, "size size 3"]:
        return np.asarray(centre_crop(picture, self.resolution))


def open_images(receipt: Receipt) -> ImageSource:
    """The images of a finished dataset (a receipt of the table `datasets`)."""
    index = ImageIndex.read(receipt.folder / "index.parquet")
    config: DatasetConfig = TypeAdapter(DatasetConfig).validate_python(receipt.recipe)
    return ImageSource(index, config.resolution, open_source(config))
