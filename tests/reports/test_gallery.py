"""Sheets hold the pixels they were given, and maps the paper's colours."""

import base64
import io

import numpy as np
from PIL import Image

from oarpipe.base.grid import Grid
from oarpipe.reports.gallery import PIXELS, Sheet, choose, order_colours, sheet, tile_side


def decode(picture: Sheet) -> np.ndarray:
    head, _, data = picture.data.partition(",")
    assert head == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def test_a_sheet_of_small_images_keeps_every_pixel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), dtype=np.uint8)
    pixels = decode(sheet(images, 3, 24, "six"))
    assert pixels.shape == (2 * 26 - 2, 3 * 26 - 2, 4)
    np.testing.assert_array_equal(pixels[26:50, 52:76, :3], images[5])
    assert (pixels[24:26, :, 3] == 0).all()


def test_large_images_are_compressed_and_small_ones_are_not() -> None:
    ramp = np.repeat(np.arange(128, dtype=np.uint8)[None, None, :, None], 3, axis=3)
    image = np.repeat(ramp, 128, axis=1) + np.random.default_rng(0).integers(0, 9, (1, 128, 128, 3), np.uint8)
    assert len(sheet(image, 1, 128, "").data) < image.size / 4
    small = image[:, :64, :64]
    np.testing.assert_array_equal(decode(sheet(small, 1, 64, ""))[..., :3], small[0])


def test_maps_go_from_yellow_at_the_first_step_to_violet_at_the_last() -> None:
    order = np.array([[3, 0, 1, 2]])
    colours = order_colours(order, Grid(2, 2))[0]
    assert colours[1, 1].tolist() == [253, 231, 37]  # position 3, step 0
    assert colours[1, 0].tolist() == [68, 1, 84]  # position 2, step 3


def test_columns_are_classes_and_rows_their_first_samples() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    chosen = choose(labels, 6, 10)
    assert chosen.columns == 3
    assert labels[chosen.rows].tolist() == [0, 1, 2, 0, 1, 2]
    assert chosen.rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_of_many_classes_ten_are_shown_evenly_chosen() -> None:
    chosen = choose(np.arange(1000), 80, 10)
    assert chosen.rows.tolist() == [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]


def test_tiles_shrink_until_all_of_them_fit_the_page() -> None:
    assert tile_side(24, 3000) == 24
    side = tile_side(256, 5000)
    assert side < 256
    assert 5000 * side**2 <= PIXELS
