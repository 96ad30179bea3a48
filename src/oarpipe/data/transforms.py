"""Pictures of any size as square RGB arrays: the centre, several views, or a part drawn at random."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from oarpipe.config.tokenizers import Views

_FIVE = ("top_left", "top_right", "bottom_left", "bottom_right", "centre")
# The names of each kind's views; a view's number is its place.
VIEWS: dict[Views, tuple[str, ...]] = {
    "centre": ("original",),
    "adm": ("original", "flipped"),
    "ten_crop": (*_FIVE, *(f"flipped_{name}" for name in _FIVE)),
}
# Views that are the mirror images of others. (The centre of ten crops is so but for a pixel.)
MIRRORED = {
    "flipped": "original",
    "flipped_top_left": "top_right",
    "flipped_top_right": "top_left",
    "flipped_bottom_left": "bottom_right",
    "flipped_bottom_right": "bottom_left",
}
TEN_CROP_MARGIN = 1.1  # LlamaGen's: of the centre crop of this many sides
FRACTION = (0.8, 1.0)  # of the short side, in ADM's random crop
SCALE = (0.75, 1.0)  # of the area, in a random resized crop
TRIES = 10  # torchvision's patience
DRAWS = TRIES + 2  # uniform numbers that any random crop makes do with


def mirrored_views(views: int) -> int:
    """How many of so many views are mirror images of others."""
    return sum(name in MIRRORED for names in VIEWS.values() if len(names) == views for name in names)


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """ADM's crop: halve by box while the short side is at least twice `size`, bicubic, centre.

    A smaller image is enlarged.
    """
    image = _fitted(image, size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def views_of(image: Image.Image, size: int, views: Views) -> UInt8[np.ndarray, "A size size 3"]:
    """The views that VIEWS names, in its order."""
    if views == "ten_crop":
        return ten_crop(centre_crop(image, int(size * TEN_CROP_MARGIN)), size)
    centre = centre_crop(image, size)
    shown = [centre, _mirrored(centre)] if views == "adm" else [centre]
    return np.stack([np.asarray(each) for each in shown])


def ten_crop(image: Image.Image, size: int) -> UInt8[np.ndarray, "10 size size 3"]:
    """torchvision's TenCrop: four corners and centre, then the same of the mirror image."""
    bottom, right = image.height - size, image.width - size
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2))]
    sides = (np.asarray(image), np.asarray(_mirrored(image)))
    return np.stack([a[top : top + size, left : left + size] for a in sides for top, left in corners])


def _mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)  # four times as fast as a flipped array


def random_crop(image: Image.Image, size: int, draws: Sequence[float]) -> UInt8[np.ndarray, "size size 3"]:
    """ADM's random crop, of 4/5 to all of the short side; `draws` are uniform in [0, 1)."""
    least, most = math.ceil(size / FRACTION[1]), math.ceil(size / FRACTION[0])
    image = _fitted(image, least + int(draws[0] * (most - least + 1)))
    top = int(draws[1] * (image.height - size + 1))
    left = int(draws[2] * (image.width - size + 1))
    return np.asarray(image.crop((left, top, left + size, top + size)))


def random_resized_crop(
    image: Image.Image, size: int, draws: Sequence[float]
) -> UInt8[np.ndarray, "size size 3"]:
    """torchvision's RandomResizedCrop with ratio 1: a square of 3/4 to all of the area, bilinear.

    A square that is larger than the short side is drawn again; after TRIES the centre is taken, as there.
    """
    width, height = image.size
    for i in range(TRIES):
        share = SCALE[0] + draws[i] * (SCALE[1] - SCALE[0])
        side = round(math.sqrt(width * height * share))
        if 0 < side <= min(width, height):
            top = int(draws[TRIES] * (height - side + 1))
            left = int(draws[TRIES + 1] * (width - side + 1))
            break
    else:
        side = min(width, height)
        top, left = (height - side) // 2, (width - side) // 2
    part = image.crop((left, top, left + side, top + side))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))


def _fitted(image: Image.Image, size: int) -> Image.Image:
    """With a short side of `size` pixels: halved by box while it is twice that, then bicubic."""
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
