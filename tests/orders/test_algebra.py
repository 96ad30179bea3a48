"""The algebra of orders, against closed forms and loops."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from oarpipe.base.grid import Grid
from oarpipe.orders import algebra


def some_orders(seed: int, batch: int = 3, positions: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(positions, generator=generator) for _ in range(batch)])


@given(st.integers(0, 10_000))
def test_inverting_twice_gives_the_order_back(seed: int) -> None:
    order = some_orders(seed)
    assert torch.equal(algebra.invert(algebra.invert(order)), order)


def test_row_t_of_applied_values_is_the_value_at_the_t_th_position() -> None:
    order, values = some_orders(0), torch.randn(3, 12, 5)
    applied = algebra.apply(order, values)
    for b in range(3):
        for t in range(12):
            assert torch.equal(applied[b, t], values[b, order[b, t]])


def test_steps_say_when_each_position_is_filled() -> None:
    order = some_orders(1)
    steps = algebra.invert(order)
    assert all(steps[b, order[b, t]] == t for b in range(3) for t in range(12))


def test_a_repeated_position_is_no_order() -> None:
    order = some_orders(2)
    order[1, 0] = order[1, 1]
    assert algebra.is_order(order).tolist() == [True, False, True]


def test_the_mean_step_distance_of_raster_on_16_by_16_is_the_papers_1_83() -> None:
    distances = algebra.step_distances(torch.arange(256)[None], Grid(16, 16))
    assert abs(float(distances.mean()) - (240 + 15 * 226**0.5) / 255) < 1e-6


def test_the_mean_order_of_equal_orders_is_that_order() -> None:
    order = some_orders(5, batch=1)
    assert torch.equal(algebra.mean_order(order.expand(7, -1)), order[0])


def test_the_mean_order_goes_by_the_mean_step() -> None:
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 0, 2]])  # mean steps: 1/3, 1, 5/3
    assert algebra.mean_order(orders).tolist() == [0, 1, 2]


def test_the_mirrored_order_fills_the_mirrored_columns() -> None:
    grid = Grid(3, 4)
    order = some_orders(6)
    mirrored = algebra.mirror(order, grid)
    assert torch.equal(mirrored // 4, order // 4)
    assert torch.equal(mirrored % 4, 3 - order % 4)
    assert torch.equal(algebra.mirror(mirrored, grid), order)
