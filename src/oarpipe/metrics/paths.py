"""How far an order jumps."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.orders.algebra import step_distances


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
