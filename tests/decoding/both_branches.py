"""Guidance the obvious way: both branches are always asked about everything."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from oarpipe.config.samples import GuidanceConfig
from oarpipe.decoding.protocol import Decoder, Emission


@dataclass(frozen=True)
class BothEmission:
    conditional: Emission
    null: Emission
    scale: float
    guided: bool

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        for (part, conditional), (_, null) in zip(self.conditional.chunks(), self.null.chunks(), strict=True):
            yield part, self._mixed(conditional, null) if self.guided else conditional

    def at(self, columns: Tensor) -> Tensor:
        return self._mixed(self.conditional.at(columns), self.null.at(columns))

    def _mixed(self, conditional: Tensor, null: Tensor) -> Tensor:
        return self.scale * conditional + (1 - self.scale) * null


class BothBranches:
    """`linear`: s = 1 + (scale - 1) k/N, by RandAR's generation."""

    def __init__(self, conditional: Decoder, null: Decoder, config: GuidanceConfig, positions: int) -> None:
        self.branches, self.config, self.positions = (conditional, null), config, positions
        self.filled = 0

    def propose(self, candidates: Tensor) -> BothEmission:
        scale = self.config.scale
        if self.config.schedule == "linear":
            scale = 1 + (scale - 1) * self.filled / self.positions
        conditional, null = (branch.propose(candidates) for branch in self.branches)
        return BothEmission(conditional, null, scale, self.config.places == "guided")

    def commit(self, positions: Tensor, tokens: Tensor) -> None:
        for branch in self.branches:
            branch.commit(positions, tokens)
        self.filled += positions.shape[1]

    def outlook(self) -> None:
        return None
