"""What the walk is made of: a decoder knows, a policy goes, a reveal tells, a walk remembers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid


@runtime_checkable
class Emission(Protocol):
    """What may appear at the M positions a decoder was asked about."""

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """By which places are chosen: float32 or wider, temperature 1, unfiltered; some columns at a time."""
        ...

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """By which codes are drawn at the chosen columns (guidance may differ from `chunks`)."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """What the model knows of what was committed so far."""

    def propose(self, candidates: Int[Tensor, "B M"]) -> Emission:
        """Asks about open positions, each independently of the others."""
        ...

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Fills positions that were among the last candidates."""
        ...

    def outlook(self) -> Float[Tensor, "B N"] | None:
        """What it expects of every position before it is asked: high where it will be sure; None: nothing."""
        ...


@dataclass(frozen=True)
class View:
    """What a policy may see."""

    grid: Grid
    open: Int[Tensor, "B M"]  # open positions, ascending
    last: Int[Tensor, " B"] | None  # position filled last
    filled: int  # how many are filled
    outlook: Callable[[], Float[Tensor, "B N"] | None]  # the decoder's, for a policy that wants it


@runtime_checkable
class Policy(Protocol):
    """Where next."""

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Open positions worth asking about."""
        ...

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """Columns of `candidates` to fill now, and their scores."""
        ...


@runtime_checkable
class Reveal(Protocol):
    """Which code appears."""

    def __call__(
        self, positions: Int[Tensor, "B K"], logits: Float[Tensor, "B K V"]
    ) -> Int[Tensor, "B K"]: ...


@dataclass(frozen=True)
class Walk:
    """What a walk leaves behind. `tokens` is in raster order; the others are by step."""

    tokens: Int[Tensor, "B N"]
    order: Int[Tensor, "B N"]
    score: Float[Tensor, "B N"]
    log_prob: Float[Tensor, "B N"]  # of the code that appeared, by the logits it was drawn from
    exact_steps: Int[Tensor, " B"] | None = None  # at which predicted places were not trusted, if any were
