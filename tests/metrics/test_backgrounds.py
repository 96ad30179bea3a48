"""Background: pictures drawn here, and shares counted."""

import numpy as np

from oarpipe.base.grid import Grid
from oarpipe.metrics.backgrounds import background_places, background_shares


def picture(colour: int) -> np.ndarray:
    """6x6 pixels of one colour with a red dot in the middle cell of a 3x3 grid."""
    image = np.full((6, 6, 3), colour, np.uint8)
    image[3, 2] = (200, 30, 30)
    return image


def test_places_that_look_like_the_border_are_background_whatever_its_colour() -> None:
    images = np.stack([picture(255), picture(0)])
    found = background_places(images, Grid(3, 3))
    assert found.tolist() == [[True] * 4 + [False] + [True] * 4] * 2


def test_noise_up_to_the_tolerance_is_background() -> None:
    image = picture(240)
    image[0, 0], image[5, 5] = 255, 222  # 15 and 18 away from 240
    assert background_places(image[None], Grid(3, 3))[0].tolist() == [True] * 4 + [False] + [True] * 3 + [
        False
    ]


def test_the_share_of_background_is_that_of_the_places_so_far() -> None:
    is_background = np.array([[True, True, False, False], [True, False, False, False]])
    orders = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], dtype=np.uint16)
    shares = background_shares(orders, is_background)
    np.testing.assert_allclose(shares, [(1 + 0) / 2, (1 + 0) / 2, (2 / 3 + 0) / 2, (1 / 2 + 1 / 4) / 2])
