"""Holes: what is hidden, and that it is filled last."""

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.base.noise import Stream
from oarpipe.orders.algebra import is_order
from oarpipe.orders.holes import HiddenLast, hidden
from oarpipe.orders.sources import Random, Visits

PICTURES = {
    ("inpaint", 0.25): ["....", ".##.", ".##.", "...."],
    ("outpaint", 0.75): ["####", "#..#", "#..#", "####"],
    ("inpaint", 0.01): ["....", ".#..", "....", "...."],
    ("inpaint", 0.99): ["####", "####", "####", "...."],
    ("outpaint", 0.01): ["....", "....", "....", "####"],
}


@pytest.mark.parametrize(("kind", "share"), PICTURES)
def test_a_hole_is_a_rectangle_in_the_middle_or_all_around_one(kind: str, share: float) -> None:
    mask = hidden(Grid(4, 4), kind, share).view(4, 4)  # type: ignore[arg-type]
    assert ["".join(".#"[int(cell)] for cell in row) for row in mask] == PICTURES[kind, share]


@pytest.mark.parametrize("grid", [Grid(6, 6), Grid(3, 8), Grid(16, 16)])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_inside_and_outside_hide_about_the_share(grid: Grid, share: float) -> None:
    for kind in ("inpaint", "outpaint"):
        assert float(hidden(grid, kind, share).double().mean()) == pytest.approx(share, abs=0.13)


def test_what_is_seen_comes_first_in_the_order_it_had_among_random_ones() -> None:
    mask = hidden(Grid(4, 4), "inpaint", 0.25)
    ids = torch.arange(50)
    visits = Visits(ids, torch.zeros_like(ids), torch.zeros_like(ids), ids)
    order = HiddenLast(mask, 3, Stream.VISIT)(visits)
    assert bool(is_order(order).all())
    for row, plain in zip(order.tolist(), Random(16, 3, Stream.VISIT)(visits).tolist(), strict=True):
        assert row == [p for p in plain if not mask[p]] + [p for p in plain if mask[p]]
