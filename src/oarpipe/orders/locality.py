"""Orders made by hand for parallel steps: near what is there, far from one another.

The rule of LPD (Zhang et al. 2025, "Locality-aware Parallel Decoding", arXiv 2507.01957), without its
random starts: the first place is the centre's, equal places go by position.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.base.grid import Grid


def locality_order(grid: Grid, groups: Sequence[int], *, apart: float) -> Int[Tensor, " N"]:
    """Fills `groups[t]` places at step t: those with the largest sum of 1 / distance to the places of
    earlier steps, of which a step takes only such as lie `apart` cells from its others; where they are too
    few, the place farthest from its others comes next.
    """
    every = torch.arange(grid.positions)

    def cells(place: int) -> Tensor:
        return grid.distance(every, every.new_tensor(place).expand_as(every)).double()

    is_open = torch.ones(grid.positions, dtype=torch.bool)
    pull = torch.zeros(grid.positions, dtype=torch.float64)
    pull[(grid.height - 1) // 2 * grid.width + (grid.width - 1) // 2] = 1.0
    order: list[int] = []
    for size in groups:
        group: list[int] = []
        room = torch.full_like(pull, float("inf"))  # distance to the nearest of the step's places
        while len(group) < size:
            fits = is_open & (room >= apart)
            worth = pull.mul(1e9).round() if bool(fits.any()) else room  # sums in any order are equal
            place = int(worth.masked_fill(~(fits if bool(fits.any()) else is_open), -1.0).argmax())
            group.append(place)
            is_open[place] = False
            room = room.minimum(cells(place))
        for place in group:
            pull += cells(place).clamp_min(0.5).reciprocal()
        order += group
    return torch.tensor(order)
