"""A stage's work divided among jobs: `3-of-8` is the third of eight equal shares."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from oarpipe.errors import BadInput

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Share `index` (from 1) of `count`."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`3-of-8`, as Snakemake's scattergather writes it; `BadInput` for anything else."""
        match = re.fullmatch(r"(\d+)-of-(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise BadInput(f"shard '{text}': expected K-of-N with K from 1 to N, such as 3-of-8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """This shard's contiguous share of `items`; the shares of all shards are `items` exactly."""
        begin = (self.index - 1) * len(items) // self.count
        return items[begin : self.index * len(items) // self.count]
