"""How walks grow: raster's published coverage, closed forms beside every order of a small grid."""

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.metrics.neighbours import (
    adjacency,
    connected_runs,
    filled_neighbours,
    quadrants,
    random_connected_runs,
    random_filled,
    random_region_visits,
    random_touch,
    region_visits,
)
from oarpipe.orders.rules import rule_order
from tests.metrics.walks import every_order, random_orders

SMALL = Grid(2, 3)


def slow_filled(order: np.ndarray, grid: Grid) -> list[float]:
    """Step by step, neighbour by neighbour."""
    shares, filled = [], set()
    for place in order.tolist():
        row, column = divmod(place, grid.width)
        around = [
            r * grid.width + c
            for r in range(max(row - 1, 0), min(row + 2, grid.height))
            for c in range(max(column - 1, 0), min(column + 2, grid.width))
            if (r, c) != (row, column)
        ]
        shares.append(sum(p in filled for p in around) / len(around))
        filled.add(place)
    return shares


def test_raster_covers_what_the_order_head_study_says() -> None:
    raster = rule_order("raster", Grid(16, 16), 0)[None].numpy()
    assert filled_neighbours(raster, Grid(16, 16))[0, :32].mean() == pytest.approx(0.348, abs=5e-4)


def test_filled_neighbours_are_those_of_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(4, 5)
    orders = random_orders(7, 20)
    expected = [slow_filled(order, grid) for order in orders]
    np.testing.assert_allclose(filled_neighbours(orders, grid), expected)
    monkeypatch.setattr("oarpipe.metrics.neighbours._ROWS", 3)
    np.testing.assert_allclose(filled_neighbours(orders, grid), expected)


def test_expectations_are_the_means_over_every_order() -> None:
    every = every_order(6)
    found = filled_neighbours(every, SMALL)
    np.testing.assert_allclose(found.mean(axis=0), random_filled(6))
    np.testing.assert_allclose((found > 0).mean(axis=0), random_touch(SMALL), atol=1e-12)
    regions = np.array([0, 0, 1, 2, 2, 2])
    assert region_visits(every, regions).mean() == pytest.approx(random_region_visits(regions))


def test_a_single_place_has_no_neighbours() -> None:
    one = np.zeros((2, 1), np.uint16)
    assert filled_neighbours(one, Grid(1, 1)).tolist() == [[0], [0]]
    assert connected_runs(one, Grid(1, 1)).tolist() == [1, 1]
    assert random_touch(Grid(1, 1)).tolist() == [0]
    assert random_region_visits(np.zeros(1, np.int64)) == 1


def test_neighbours_are_the_eight_around() -> None:
    assert np.flatnonzero(adjacency(Grid(3, 3))[4]).tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert np.flatnonzero(adjacency(Grid(3, 3))[0]).tolist() == [1, 3, 4]


def test_raster_and_spiral_are_one_connected_run() -> None:
    grid = Grid(5, 5)
    orders = torch.stack([rule_order(name, grid, 0) for name in ("raster", "spiral")]).numpy()
    assert connected_runs(orders, grid).tolist() == [1, 1]


def test_a_run_ends_where_a_step_touches_nothing_of_it() -> None:
    # 0 1 . . 4 on a line of five: 0 1 | 4 3 2 are two runs, 0 | 2 | 4 3 | 1 four.
    orders = np.array([[0, 1, 4, 3, 2], [0, 2, 4, 3, 1]], dtype=np.uint16)
    assert connected_runs(orders, Grid(1, 5)).tolist() == [2, 4]


def test_the_expected_runs_of_random_orders_are_near_the_mean_over_every_order() -> None:
    exact = connected_runs(every_order(6), Grid(1, 6)).mean()
    assert random_connected_runs(Grid(1, 6)) == pytest.approx(exact, abs=0.1)
    assert random_connected_runs(Grid(1, 6)) == random_connected_runs(Grid(1, 6))


def test_a_walk_by_quadrants_visits_each_once_and_raster_twice_a_row() -> None:
    grid = Grid(6, 6)
    regions = quadrants(grid)
    by_quadrant = np.argsort(regions, kind="stable")[None]
    raster = np.arange(36)[None]
    assert region_visits(by_quadrant, regions).tolist() == [1]
    assert region_visits(raster, regions).tolist() == [3]  # six rows, two quadrants each, over four


def test_quadrants_of_an_odd_grid_hold_every_place_once() -> None:
    assert np.bincount(quadrants(Grid(3, 5))).tolist() == [6, 4, 3, 2]
