"""Geometric orders: one sequence of positions for a grid, the same for every image."""

from collections.abc import Callable
from fractions import Fraction

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.base.grid import Grid
from oarpipe.orders.locality import locality_order


def raster(grid: Grid) -> list[int]:
    """Row by row, left to right."""
    return list(range(grid.positions))


def column(grid: Grid) -> list[int]:
    """Column by column, top to bottom."""
    return sorted(raster(grid), key=lambda p: (p % grid.width, p // grid.width))


def zigzag(grid: Grid) -> list[int]:
    """Row by row, every other row backwards."""
    rows = [list(range(r * grid.width, (r + 1) * grid.width)) for r in range(grid.height)]
    return [p for r, row in enumerate(rows) for p in (row if r % 2 == 0 else reversed(row))]


def diagonal(grid: Grid) -> list[int]:
    """Anti-diagonal by anti-diagonal from the upper left corner."""
    return sorted(raster(grid), key=lambda p: (p // grid.width + p % grid.width, p // grid.width))


def spiral(grid: Grid) -> list[int]:
    """Ring by ring from the upper left corner inwards, clockwise."""
    top, bottom, left, right = 0, grid.height - 1, 0, grid.width - 1
    cells: list[tuple[int, int]] = []
    while top <= bottom and left <= right:
        cells += [(top, c) for c in range(left, right + 1)]
        cells += [(r, right) for r in range(top + 1, bottom + 1)]
        if top < bottom and left < right:
            cells += [(bottom, c) for c in range(right - 1, left - 1, -1)]
            cells += [(r, left) for r in range(bottom - 1, top, -1)]
        top, bottom, left, right = top + 1, bottom - 1, left + 1, right - 1
    return [r * grid.width + c for r, c in cells]


def stride2(grid: Grid) -> list[int]:
    """The four sub-lattices of every second row and column, one after another, each in raster order."""
    return sorted(raster(grid), key=lambda p: (p // grid.width % 2, p % grid.width % 2, p))


def multiscale(grid: Grid) -> list[int]:
    """The coarsest lattice first, then the cells each halving of its spacing adds."""

    def level(position: int) -> int:
        row, col = divmod(position, grid.width)
        spacing = 1
        while spacing < max(grid.height, grid.width):
            if row % (2 * spacing) or col % (2 * spacing):
                return -spacing
            spacing *= 2
        return -spacing

    return sorted(raster(grid), key=lambda p: (level(p), p))


def locality(grid: Grid) -> list[int]:
    """From the centre, always the place with the largest sum of 1 / distance to the filled ones (LPD)."""
    order: list[int] = locality_order(grid, [1] * grid.positions, apart=0.0).tolist()
    return order


def halton(grid: Grid) -> list[int]:
    """The cells that the Halton sequence of bases 2 and 3 comes to, each when it first does."""
    found: dict[int, None] = {}
    index = 0
    while len(found) < grid.positions:
        index += 1
        row, col = int(_radical(index, 2) * grid.height), int(_radical(index, 3) * grid.width)
        found.setdefault(row * grid.width + col)
    return list(found)


def _radical(index: int, base: int) -> Fraction:
    """The digits of `index`, mirrored at the point: van der Corput's sequence."""
    value, unit = Fraction(0), Fraction(1)
    while index:
        index, digit = divmod(index, base)
        unit /= base
        value += digit * unit
    return value


RULES: dict[str, Callable[[Grid], list[int]]] = {
    "raster": raster,
    "column": column,
    "zigzag": zigzag,
    "diagonal": diagonal,
    "spiral": spiral,
    "stride2": stride2,
    "multiscale": multiscale,
    "locality": locality,
    "halton": halton,
}


def rule_order(name: str, grid: Grid, seed: int) -> Int[Tensor, " N"]:
    """The order of a rule; `fixed_random` is one permutation drawn from `seed`."""
    if name == "fixed_random":
        return noise.permutations(
            seed, noise.Stream.RULE, torch.zeros(1, dtype=torch.int64), 0, grid.positions
        )[0]
    return torch.tensor(RULES[name](grid))
