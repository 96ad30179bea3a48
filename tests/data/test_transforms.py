"""Crops and views are ADM's and torchvision's, held against their published code and formulas."""

import math
import random

import numpy as np
import pytest
from PIL import Image

from oarpipe.data.transforms import (
    DRAWS,
    TRIES,
    VIEWS,
    centre_crop,
    random_crop,
    random_resized_crop,
    ten_crop,
    views_of,
)


def adm(image: Image.Image, size: int) -> np.ndarray:
    """center_crop_arr of guided-diffusion's image_datasets.py, line by line."""
    array = fitted(image, size)
    y, x = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return array[y : y + size, x : x + size]


def fitted(image: Image.Image, size: int) -> np.ndarray:
    while min(*image.size) >= 2 * size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX)
    scale = size / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.Resampling.BICUBIC)
    return np.array(image)


def adm_random(image: Image.Image, size: int, rng: random.Random) -> np.ndarray:
    """random_crop_arr of the same file, line by line."""
    smaller = rng.randrange(math.ceil(size / 1.0), math.ceil(size / 0.8) + 1)
    array = fitted(image, smaller)
    y = rng.randrange(array.shape[0] - size + 1)
    x = rng.randrange(array.shape[1] - size + 1)
    return array[y : y + size, x : x + size]


class Given(random.Random):
    """Python's randrange, from given uniform numbers."""

    def __init__(self, draws: list[float]) -> None:
        super().__init__()
        self.draws = list(draws)

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        low, high = (0, start) if stop is None else (start, stop)
        return low + int(self.draws.pop(0) * (high - low))


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (200, 90), (64, 300), (17, 16)])
def test_the_centre_crop_is_adms(shape: tuple[int, int]) -> None:
    cropped = np.asarray(centre_crop(noise(*shape), 32))
    assert cropped.shape == (32, 32, 3)
    np.testing.assert_array_equal(cropped, adm(noise(*shape), 32))


@pytest.mark.parametrize("shape", [(40, 40), (33, 47), (200, 90), (17, 60)])
@pytest.mark.parametrize("seed", range(5))
def test_the_random_crop_is_adms(shape: tuple[int, int], seed: int) -> None:
    draws = np.random.default_rng(seed).random(DRAWS).tolist()
    np.testing.assert_array_equal(
        random_crop(noise(*shape), 32, draws), adm_random(noise(*shape), 32, Given(draws))
    )


def test_random_crops_reach_every_corner_and_both_ends_of_the_scale() -> None:
    for edge in (0.0, 1 - 2**-53):
        assert random_crop(noise(60, 90), 32, [edge] * DRAWS).shape == (32, 32, 3)
        assert random_resized_crop(noise(60, 90), 32, [edge] * DRAWS).shape == (32, 32, 3)


def test_a_random_resized_crop_is_the_square_that_its_numbers_name() -> None:
    image = noise(100, 120)
    draws = [0.9, 0.2, *[0.0] * (TRIES - 2), 0.5, 0.25]  # 0.975 of the area is a square of 108: too tall
    side = round(math.sqrt(100 * 120 * (0.75 + 0.2 * 0.25)))  # 98
    top, left = int(0.5 * (100 - side + 1)), int(0.25 * (120 - side + 1))
    part = image.crop((left, top, left + side, top + side)).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(random_resized_crop(image, 16, draws), np.asarray(part))


def test_where_no_square_fits_the_random_resized_crop_is_the_centre() -> None:
    image = noise(20, 200)
    part = image.crop((90, 0, 110, 20)).resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(random_resized_crop(image, 16, [0.5] * DRAWS), np.asarray(part))


def test_ten_crops_lie_where_torchvision_says() -> None:
    """five_crop: tl, tr, bl, br and center_crop at round((side - size) / 2); ten_crop adds hflip's five."""
    size, height, width = 6, 9, 12
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)

    def five(img: np.ndarray) -> list[np.ndarray]:
        top, left = round((height - size) / 2.0), round((width - size) / 2.0)
        return [
            img[0:size, 0:size],
            img[0:size, width - size : width],
            img[height - size : height, 0:size],
            img[height - size : height, width - size : width],
            img[top : top + size, left : left + size],
        ]

    np.testing.assert_array_equal(
        ten_crop(Image.fromarray(image), size), np.stack(five(image) + five(np.fliplr(image)))
    )


def test_llamagens_ten_views_are_of_a_centre_crop_a_tenth_larger() -> None:
    image = noise(300, 400)
    views = views_of(image, 256, "ten_crop")
    larger = np.asarray(centre_crop(image, 281))
    assert views.shape == (10, 256, 256, 3)
    np.testing.assert_array_equal(views[3], larger[25:, 25:])
    np.testing.assert_array_equal(views[4], larger[12:268, 12:268])
    np.testing.assert_array_equal(views[5], larger[:256, 25:][:, ::-1])  # the mirror image's top left


def test_adms_two_views_are_the_centre_and_its_mirror_image() -> None:
    views = views_of(noise(50, 40), 16, "adm")
    np.testing.assert_array_equal(views[0], adm(noise(50, 40), 16))
    np.testing.assert_array_equal(views[1], np.fliplr(views[0]))


@pytest.mark.parametrize("views", VIEWS)
def test_every_view_has_a_name(views: str) -> None:
    assert len(views_of(noise(20, 20), 8, views)) == len(set(VIEWS[views]))


def test_a_smaller_image_is_enlarged() -> None:
    assert (
        np.asarray(centre_crop(Image.new("RGB", (5, 3), (1, 2, 3)), 16)).reshape(-1, 3).tolist()
        == [[1, 2, 3]] * 256
    )
