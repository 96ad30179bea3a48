import itertools

import pytest
import torch
from scipy.stats import kendalltau

from oarpipe.base.grid import Grid
from oarpipe.metrics.paths import mean_step_distance, random_step_distance, rank_agreement
from oarpipe.orders.algebra import invert


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


def test_rank_agreement_is_scipys_kendall_tau_of_the_steps():
    generator = torch.Generator().manual_seed(0)
    a = torch.stack([torch.randperm(12, generator=generator) for _ in range(70)])
    b = torch.stack([torch.randperm(12, generator=generator) for _ in range(70)])
    expected = [
        kendalltau(x, y).statistic for x, y in zip(invert(a).tolist(), invert(b).tolist(), strict=True)
    ]
    assert rank_agreement(a, b).tolist() == pytest.approx(expected, abs=1e-6)


def test_an_order_agrees_with_itself_and_disagrees_with_its_reverse():
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))[None]
    assert float(rank_agreement(order, order)) == 1
    assert float(rank_agreement(order, order.flip(1))) == -1
