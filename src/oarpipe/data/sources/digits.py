"""scikit-learn's handwritten digits, which come with it."""

from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int32, UInt8
from PIL import Image

from oarpipe.data.sources.listing import Listing, Place

_SIDE = 8  # pixels


class DigitsSource:
    """1,797 gray pictures; the sample id is the row in scikit-learn's array."""

    def listing(self) -> Listing:
        """All of them, a fifth held out."""
        images, labels = _digits()
        return Listing(
            path=[f"sklearn.datasets.load_digits[{i}]" for i in range(len(images))],
            size=np.full(len(images), images[0].nbytes),
            label=labels,
            split=digits_split(labels),
            classes=[str(digit) for digit in range(10)],
            is_fixed=True,
        )

    def content(self, place: Place) -> bytes:
        """The 64 gray values."""
        row = int(place.path.rpartition("[")[2].removesuffix("]"))
        values: bytes = _digits()[0][row].tobytes()
        return values

    def picture(self, place: Place, content: bytes) -> Image.Image:
        """The values as gray RGB."""
        return Image.frombytes("L", (_SIDE, _SIDE), content).convert("RGB")

    def where(self, place: Place) -> str:
        """As scikit-learn would be asked for it."""
        return place.path


def digits_split(labels: Int32[np.ndarray, " n"]) -> list[str]:
    """Every fifth image of the sequence ordered by class and sample id, from the first, is a test image."""
    split = np.full(len(labels), "train", dtype=object)
    split[np.argsort(labels, kind="stable")[::5]] = "test"
    return [str(name) for name in split]


@cache
def _digits() -> tuple[UInt8[np.ndarray, "n 8 8"], Int32[np.ndarray, " n"]]:
    """Gray values 0..255 (0..16 in scikit-learn) and labels."""
    from sklearn.datasets import load_digits  # takes a second, and only digits need it

    bunch: Any = load_digits()
    images: Float[np.ndarray, "n 8 8"] = bunch.images
    return np.rint(images * (255 / 16)).astype(np.uint8), bunch.target.astype(np.int32)
