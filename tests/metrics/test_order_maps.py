"""Mean maps and entropies of orders: closed forms, and counts one by one."""

from collections import Counter
from math import log

import numpy as np
import pytest

from oarpipe.metrics.order_maps import (
    mean_steps,
    random_entropy,
    step_entropies,
    visits,
)
from tests.metrics.walks import every_order, random_orders


def test_the_mean_step_of_each_place_is_that_of_counting() -> None:
    orders = random_orders(7, 6)
    expected = [np.mean([list(order).index(place) for order in orders]) for place in range(6)]
    np.testing.assert_allclose(mean_steps(orders), expected)


def test_visits_are_the_shares_of_images() -> None:
    orders = random_orders(5, 4)
    found = visits(orders)
    for step in range(4):
        counts = Counter(orders[:, step].tolist())
        assert found[step].tolist() == [counts[place] / 5 for place in range(4)]


def test_the_same_order_for_all_has_no_entropy() -> None:
    orders = np.tile(random_orders(1, 9), (6, 1))
    assert step_entropies(orders).max() == step_entropies(np.argsort(orders, axis=1)).max() == 0


def test_all_orders_of_a_grid_have_entropy_one() -> None:
    orders = every_order(5)
    np.testing.assert_allclose(step_entropies(orders), 1)
    np.testing.assert_allclose(step_entropies(np.argsort(orders, axis=1)), 1)


def test_two_first_places_in_equal_parts_are_ln_2_over_ln_n() -> None:
    orders = np.array([[0, 1, 2, 3], [1, 0, 2, 3]], dtype=np.uint16)
    np.testing.assert_allclose(step_entropies(orders), [log(2) / log(4), log(2) / log(4), 0, 0])


def test_the_entropy_expected_of_few_random_orders_is_the_mean_over_all_draws() -> None:
    every = every_order(3)
    pairs = [step_entropies(np.stack([a, b]))[0] for a in every for b in every]
    assert random_entropy(2, 3) == pytest.approx(np.mean(pairs), rel=1e-12)
    assert random_entropy(1, 3) == 0
    assert random_entropy(100_000, 36) == pytest.approx(1, abs=1e-4)
