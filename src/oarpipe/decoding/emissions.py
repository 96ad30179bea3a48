"""What decoders answer: distributions over the codebook, all at hand, or made when they are looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.models.memory import rows_at_once


@dataclass(frozen=True)
class Categorical:
    """Logits that exist."""

    logits: Float[Tensor, "B M V"]

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """All of them."""
        yield slice(None), self.logits

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """The rows of the chosen columns."""
        return _rows(self.logits, columns)


@dataclass(frozen=True)
class Answers:
    """Rows that leave the last block; the head makes logits of some at a time.

    All at once they would take `B M V` numbers, a GiB for 64 images of 256 tokens and 16,384 codes.
    """

    rows: Float[Tensor, "B M D"]
    head: Callable[[Tensor], Tensor]
    codebook: int

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """Logits, as many columns at a time as fit."""
        if self._at_once >= self.rows.shape[1]:
            yield slice(None), self._logits
            return
        for begin in range(0, self.rows.shape[1], self._at_once):
            part = slice(begin, begin + self._at_once)
            yield part, self.head(self.rows[:, part])

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """The rows of the chosen columns."""
        if self._at_once >= self.rows.shape[1]:
            return _rows(self._logits, columns)
        return self.head(self.rows_at(columns))

    def rows_at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """The rows that left the last block at the chosen columns."""
        return _rows(self.rows, columns)

    @cached_property
    def _logits(self) -> Tensor:
        return self.head(self.rows)

    @property
    def _at_once(self) -> int:
        return max(1, rows_at_once(self.codebook, self.rows.device.type) // len(self.rows))


def _rows(x: Tensor, columns: Tensor) -> Tensor:
    return x.gather(1, columns[..., None].expand(-1, -1, x.shape[-1]))
