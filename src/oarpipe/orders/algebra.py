"""The algebra of orders. An order `[B, N]` says which position is filled at each step; its inverse,
the *steps*, says when each position is filled."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid


def is_order(order: Int[Tensor, "B N"]) -> Bool[Tensor, " B"]:
    """Whether each row is a permutation of 0..N-1."""
    expected = torch.arange(order.shape[1], device=order.device)
    return (order.sort(dim=1).values == expected).all(dim=1)


def invert(order: Int[Tensor, "B N"]) -> Int[Tensor, "B N"]:
    """The steps of an order, and the order of steps: `invert(invert(o)) == o`."""
    steps = torch.empty_like(order)
    return steps.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))


def apply(order: Int[Tensor, "B S"], values: Tensor) -> Tensor:
    """Raster values `[B, N, ...]` in the order of filling: row t is the value at `order[:, t]`."""
    index = order.reshape(*order.shape, *(1,) * (values.ndim - 2)).expand(*order.shape, *values.shape[2:])
    return values.gather(1, index)


def mirror(order: Int[Tensor, "B N"], grid: Grid) -> Int[Tensor, "B N"]:
    """The order of the mirror image: every position's column counted from the other side."""
    return order + grid.width - 1 - 2 * (order % grid.width)


def step_distances(order: Int[Tensor, "B N"], grid: Grid) -> Float[Tensor, "B M"]:
    """Euclidean distance in cells between consecutive positions, M = N - 1 (paper's d is the mean)."""
    return grid.distance(order[:, 1:], order[:, :-1])


def mean_order(orders: Int[Tensor, "B N"]) -> Int[Tensor, " N"]:
    """Positions by their mean step over a set of orders; ties go to the lower position."""
    return invert(orders).double().mean(dim=0).argsort(stable=True)
