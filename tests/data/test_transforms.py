"""Pictures become square RGB as ADM crops them; nothing is turned, mirrored or clipped by accident."""

import io

import numpy as np
import pytest
from PIL import Image

from oarpipe.data.transforms import VIEWS, centre_crop, enlarge, to_rgb, view
from oarpipe.errors import BadInput


def adm(image: Image.Image, size: int) -> np.ndarray:
    """center_crop_arr of guided-diffusion's image_datasets.py, line by line."""
    while min(*image.size) >= 2 * size:
        image = image.resize(tuple(x // 2 for x in image.size), resample=Image.Resampling.BOX)
    scale = size / min(*image.size)
    image = image.resize(tuple(round(x * scale) for x in image.size), resample=Image.Resampling.BICUBIC)
    array = np.array(image)
    y, x = (array.shape[0] - size) // 2, (array.shape[1] - size) // 2
    return array[y : y + size, x : x + size]


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (200, 90), (64, 300), (17, 16)])
def test_the_centre_crop_is_adms(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    cropped = np.asarray(centre_crop(image, 32))
    assert cropped.shape == (32, 32, 3)
    np.testing.assert_array_equal(cropped, adm(image, 32))


def test_a_sideways_photograph_is_turned_upright() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = 255
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    stream = io.BytesIO()
    image.save(stream, "PNG", exif=exif)
    upright = np.asarray(to_rgb(Image.open(stream)))
    np.testing.assert_array_equal(upright, np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "CMYK", "LA"])
def test_every_eight_bit_picture_becomes_rgb(mode: str) -> None:
    rgb = to_rgb(Image.new(mode, (3, 2)))
    assert rgb.mode == "RGB"
    assert rgb.size == (3, 2)


def test_a_palette_with_transparency_becomes_rgb_without_a_warning() -> None:
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30] * 256)
    image.info["transparency"] = bytes([0, 255])
    assert np.asarray(to_rgb(image)).reshape(-1, 3).tolist() == [[10, 20, 30]] * 4


def test_sixteen_bit_pictures_are_refused_not_clipped() -> None:
    with pytest.raises(BadInput, match="8 bits"):
        to_rgb(Image.fromarray(np.full((2, 2), 3000, np.uint16)))


def test_enlarging_keeps_a_flat_picture_flat_and_gray() -> None:
    big = enlarge(np.full((8, 8), 200, np.uint8), 24)
    assert big.shape == (24, 24, 3)
    assert (big == 200).all()


def test_the_second_view_is_the_mirror_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    assert VIEWS == ("original", "flipped")
    np.testing.assert_array_equal(view(images, 0), images)
    np.testing.assert_array_equal(view(images, 1), np.flip(images, axis=2))
