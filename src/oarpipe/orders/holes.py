"""Orders that fill a hole: what is seen comes first, what is hidden last, both at random.

The likelihood of the last places, given the others, is that of inpainting and outpainting, which an
any-order model can and a model of one order cannot.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.noise import Stream
from oarpipe.orders.algebra import apply
from oarpipe.orders.sources import Random, Visits


def hidden(grid: Grid, kind: Literal["inpaint", "outpaint"], share: float) -> Bool[Tensor, " N"]:
    """Which places are hidden: a rectangle in the middle of the grid's shape, or all around one.

    It is `share` of the grid, as near as whole rows and columns allow, and never none or all.
    """
    middle = share if kind == "inpaint" else 1 - share
    sides = [min(max(round(side * middle**0.5), 1), side) for side in (grid.height, grid.width)]
    if sides == [grid.height, grid.width]:
        sides[sides.index(max(sides))] -= 1
    row, column = grid.coordinates().T
    is_inside = torch.ones(grid.positions, dtype=torch.bool)
    for place, whole, side in ((row, grid.height, sides[0]), (column, grid.width, sides[1])):
        begin = (whole - side) // 2
        is_inside &= (place >= begin) & (place < begin + side)
    return is_inside if kind == "inpaint" else ~is_inside


class HiddenLast:
    """A random order of what is seen, and behind it one of what is hidden."""

    def __init__(self, is_hidden: Bool[Tensor, " N"], seed: int, stream: Stream) -> None:
        self.is_hidden = is_hidden
        self._random = Random(len(is_hidden), seed, stream)

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        order = self._random(visits)
        late = self.is_hidden.to(order.device)[order].int()
        return apply(late.argsort(dim=1, stable=True), order)
