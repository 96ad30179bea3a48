import itertools

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.metrics.paths import mean_step_distance, random_step_distance


def test_raster_on_16_by_16_is_the_papers_1_83():
    d = mean_step_distance(torch.arange(256)[None], Grid(16, 16))
    assert float(d) == pytest.approx((240 + 15 * 226**0.5) / 255, rel=1e-6)
    assert round(float(d), 2) == 1.83


def test_random_orders_on_16_by_16_are_expected_at_8_359():
    assert random_step_distance(Grid(16, 16)) == pytest.approx(8.359, abs=5e-4)


def test_the_expectation_is_the_mean_over_all_orders_of_a_small_grid():
    grid = Grid(2, 3)
    orders = torch.tensor(list(itertools.permutations(range(6))))
    assert float(mean_step_distance(orders, grid).mean()) == pytest.approx(
        random_step_distance(grid), rel=1e-6
    )


def test_a_single_position_is_no_step():
    assert mean_step_distance(torch.zeros(2, 1, dtype=torch.int64), Grid(1, 1)).tolist() == [0, 0]
    assert random_step_distance(Grid(1, 1)) == 0
