"""Geometric orders on grids small enough to write down."""

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.orders.algebra import is_order
from oarpipe.orders.rules import RULES, rule_order

WRITTEN_DOWN = {  # on 3 rows x 3 columns
    "raster": [0, 1, 2, 3, 4, 5, 6, 7, 8],
    "column": [0, 3, 6, 1, 4, 7, 2, 5, 8],
    "zigzag": [0, 1, 2, 5, 4, 3, 6, 7, 8],
    "diagonal": [0, 1, 3, 2, 4, 6, 5, 7, 8],
    "spiral": [0, 1, 2, 5, 8, 7, 6, 3, 4],
    "stride2": [0, 2, 6, 8, 1, 7, 3, 5, 4],
    "multiscale": [0, 2, 6, 8, 1, 3, 4, 5, 7],
    "locality": [4, 1, 0, 3, 2, 5, 7, 6, 8],  # sums of 1/d by hand: 7 has 3.81, 6 has 3.46
    # rows 1/2 1/4 3/4 1/8 5/8 3/8 7/8 1/16 9/16 …, columns 1/3 2/3 1/9 4/9 7/9 2/9 5/9 8/9 1/27 …
    "halton": [4, 2, 6, 1, 5, 3, 7, 8, 0],
}


@pytest.mark.parametrize("name", WRITTEN_DOWN)
def test_a_rule_gives_the_order_written_down_here(name: str) -> None:
    assert rule_order(name, Grid(3, 3), seed=0).tolist() == WRITTEN_DOWN[name]


@pytest.mark.parametrize("name", [*RULES, "fixed_random"])
@pytest.mark.parametrize("grid", [Grid(1, 1), Grid(1, 7), Grid(5, 1), Grid(4, 6), Grid(6, 6)])
def test_every_rule_visits_every_position_of_every_grid_once(name: str, grid: Grid) -> None:
    assert bool(is_order(rule_order(name, grid, seed=3)[None]))


def test_the_fixed_random_permutation_depends_on_the_seed_alone() -> None:
    grid = Grid(6, 6)
    assert torch.equal(rule_order("fixed_random", grid, 0), rule_order("fixed_random", grid, 0))
    assert not torch.equal(rule_order("fixed_random", grid, 0), rule_order("fixed_random", grid, 1))


def test_multiscale_fills_the_coarse_lattice_of_a_4_by_4_grid_first() -> None:
    order = rule_order("multiscale", Grid(4, 4), 0).tolist()
    assert order[:4] == [0, 2, 8, 10]
