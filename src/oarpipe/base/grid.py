"""The grid of token positions, its coordinates and its distances."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.errors import BadInput


@dataclass(frozen=True)
class Grid:
    """`height` x `width` positions, numbered in raster order from 0."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> "Grid":
        """`16x16`: rows, then columns."""
        height, _, width = text.partition("x")
        if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
            raise BadInput(f"grid '{text}': expected rows and columns, such as 16x16")
        return cls(int(height), int(width))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{self.height}x{self.width}"

    @property
    def positions(self) -> int:
        """How many positions there are (N)."""
        return self.height * self.width

    @property
    def diagonal(self) -> float:
        """The largest distance between two positions, in cells."""
        return float(((self.height - 1) ** 2 + (self.width - 1) ** 2) ** 0.5)

    def coordinates(self) -> Int[Tensor, "N 2"]:
        """Row and column of every position."""
        index = torch.arange(self.positions)
        return torch.stack([index // self.width, index % self.width], dim=1)

    def distance(self, a: Int[Tensor, "*S"], b: Int[Tensor, "*S"]) -> Float[Tensor, "*S"]:
        """Euclidean distance between positions, in cells."""
        rows = torch.div(a, self.width, rounding_mode="floor") - torch.div(
            b, self.width, rounding_mode="floor"
        )
        columns = a % self.width - b % self.width
        return (rows.double() ** 2 + columns.double() ** 2).sqrt().float()
