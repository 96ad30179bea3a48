"""Recognisability: what is shown along a walk, and areas in closed form."""

import numpy as np
import pytest

from oarpipe.metrics.recognisability import partly_filled, recognition_area
from tests.metrics.walks import random_orders


@pytest.mark.parametrize("filled", [0, 3, 6])
def test_only_the_places_filled_so_far_are_shown(filled: int) -> None:
    orders = random_orders(4, 6)
    tokens = 10 + np.arange(24).reshape(4, 6)
    shown = partly_filled(tokens, orders, filled, blank=7)
    for row in range(4):
        known = set(orders[row, :filled].tolist())
        assert shown[row].tolist() == [tokens[row, p] if p in known else 7 for p in range(6)]


def test_confidence_that_grows_evenly_has_area_one_half_and_certainty_one() -> None:
    shares = np.array([0, 0.1, 0.5, 1.0])
    area = recognition_area(np.stack([shares, np.ones(4)]), shares)
    np.testing.assert_allclose(area, [0.5, 1.0])


def test_a_leap_in_the_middle_has_the_area_behind_it() -> None:
    shares = np.array([0, 0.5, 0.5, 1.0])
    np.testing.assert_allclose(recognition_area(np.array([[0.0, 0.0, 1.0, 1.0]]), shares), [0.5])
