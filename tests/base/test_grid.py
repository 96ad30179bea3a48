"""The grid numbers its cells in raster order and measures distances in cells."""

import pytest
import torch

from oarpipe.base.grid import Grid


def test_positions_are_numbered_row_by_row() -> None:
    grid = Grid(2, 3)
    assert grid.positions == 6
    assert grid.coordinates().tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]


def test_distance_is_euclidean_on_the_coordinates() -> None:
    grid = Grid(5, 7)
    a = torch.arange(35).repeat_interleave(35)
    b = torch.arange(35).repeat(35)
    xy = grid.coordinates().double()
    expected = torch.linalg.vector_norm(xy[a] - xy[b], dim=1)
    torch.testing.assert_close(grid.distance(a, b).double(), expected, atol=1e-6, rtol=0)
    assert grid.diagonal == pytest.approx(float(expected.max()))


def test_raster_on_the_papers_grid_has_the_printed_mean_step() -> None:
    cells = torch.arange(256)
    mean = float(Grid(16, 16).distance(cells[1:], cells[:-1]).mean())
    assert mean == pytest.approx((240 * 1 + 15 * 226**0.5) / 255, abs=1e-6)
    assert round(mean, 2) == 1.83  # Table 1
