"""Classifier-free guidance: two branches, one of labels and one of the null class, that commit the same.

Where only the labels' branch chooses the places, the null branch is asked about the chosen ones alone
(`Guided`). Where both are asked about the same places anyway, they are one decoder of twice the batch
(`Joint`), at half the number of products.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.config.samples import GuidanceConfig
from oarpipe.decoding.protocol import Decoder, Emission


def scale_at(config: GuidanceConfig, filled: int, positions: int) -> float:
    """The scale when so many are filled; `linear`: 1 + (scale - 1) filled / positions (RandAR)."""
    if config.schedule == "constant":
        return config.scale
    return 1.0 + (config.scale - 1.0) * filled / positions


@dataclass(frozen=True)
class GuidedEmission:
    """Places by the conditional branch, codes by null + scale x (conditional - null)."""

    conditional: Emission
    unconditional: Decoder
    candidates: Int[Tensor, "B M"]
    scale: float

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """Logits of the conditional branch."""
        return self.conditional.chunks()

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """Guided logits; the unconditional branch is asked here, and only about the chosen places."""
        conditional = self.conditional.at(columns)
        chosen = self.unconditional.propose(self.candidates.gather(1, columns))
        null = chosen.at(torch.arange(columns.shape[1], device=columns.device).expand_as(columns))
        return null + self.scale * (conditional - null)


class Guided:
    """Two decoders that commit the same tokens."""

    def __init__(
        self, conditional: Decoder, unconditional: Decoder, config: GuidanceConfig, positions: int
    ) -> None:
        self.conditional, self.unconditional = conditional, unconditional
        self.config, self.positions = config, positions
        self.filled = 0

    def propose(self, candidates: Int[Tensor, "B M"]) -> GuidedEmission:
        """Asks the conditional branch."""
        scale = scale_at(self.config, self.filled, self.positions)
        return GuidedEmission(self.conditional.propose(candidates), self.unconditional, candidates, scale)

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Both branches see what appeared."""
        self.conditional.commit(positions, tokens)
        self.unconditional.commit(positions, tokens)
        self.filled += positions.shape[1]

    def outlook(self) -> Float[Tensor, "B N"] | None:
        """That of the conditional branch."""
        return self.conditional.outlook()


@dataclass(frozen=True)
class JointEmission:
    """Codes by null + scale x (conditional - null); places too, if they are `guided`."""

    both: Emission
    guided: bool
    scale: float

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """Logits of the conditional branch, or guided ones."""
        for part, logits in self.both.chunks():
            yield part, self._guided(logits) if self.guided else logits.chunk(2)[0]

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """Guided logits."""
        return self._guided(self.both.at(columns.repeat(2, 1)))

    def _guided(self, logits: Tensor) -> Tensor:
        conditional, null = logits.chunk(2)
        return null + self.scale * (conditional - null)


class Joint:
    """One decoder whose batch is the conditional branch and behind it the null branch."""

    def __init__(self, both: Decoder, config: GuidanceConfig, positions: int) -> None:
        self.both, self.config, self.positions = both, config, positions
        self.filled = 0

    def propose(self, candidates: Int[Tensor, "B M"]) -> JointEmission:
        """Asks both branches about the same places."""
        scale = scale_at(self.config, self.filled, self.positions)
        return JointEmission(
            self.both.propose(candidates.repeat(2, 1)), self.config.places == "guided", scale
        )

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Both branches see what appeared."""
        self.both.commit(positions.repeat(2, 1), tokens.repeat(2, 1))
        self.filled += positions.shape[1]

    def outlook(self) -> Float[Tensor, "B N"] | None:
        """That of the conditional branch."""
        outlook = self.both.outlook()
        return None if outlook is None else outlook.chunk(2)[0]
