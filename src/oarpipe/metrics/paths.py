"""How far an order jumps, and how alike two orders are."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.orders.algebra import invert, step_distances

ROWS = 64  # orders compared at a time: a block holds ROWS x N x N signs


def mean_step_distance(order: Int[Tensor, "B N"], grid: Grid) -> Float[Tensor, " B"]:
    """The paper's d: mean Euclidean distance, in cells, between consecutive positions of each order."""
    if order.shape[1] < 2:
        return torch.zeros(len(order))
    return step_distances(order, grid).double().mean(dim=1).float()


def random_step_distance(grid: Grid) -> float:
    """The expectation of d over uniformly random orders: the mean over pairs of different positions."""
    if grid.positions < 2:
        return 0.0
    every = torch.arange(grid.positions)
    total = grid.distance(every[:, None].expand(-1, len(every)), every[None, :].expand(len(every), -1))
    return float(total.double().sum() / (grid.positions * (grid.positions - 1)))


def rank_agreement(a: Int[Tensor, "B N"], b: Int[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Kendall's tau between two orders, row by row: 1 for the same, -1 for reversed, about 0 by chance."""
    taus = [
        _tau(invert(a[begin : begin + ROWS]), invert(b[begin : begin + ROWS]))
        for begin in range(0, len(a), ROWS)
    ]
    return torch.cat(taus) if taus else torch.empty(0)


def _tau(a: Int[Tensor, "B N"], b: Int[Tensor, "B N"]) -> Float[Tensor, " B"]:
    positions = a.shape[1]
    signs_a, signs_b = ((x[:, :, None] - x[:, None, :]).sign().to(torch.int8) for x in (a, b))
    agreement = (signs_a * signs_b).sum(dim=(1, 2), dtype=torch.int64)
    return agreement.float() / (positions * (positions - 1))
