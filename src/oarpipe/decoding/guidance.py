"""Classifier-free guidance as a wrapper around two decoders."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.config.samples import GuidanceConfig
from oarpipe.decoding.protocol import Decoder, Emission


@dataclass(frozen=True)
class GuidedEmission:
    """Codes by null + scale x (conditional - null); places too, if the null branch was `asked` about all."""

    conditional: Emission
    unconditional: Decoder
    asked: Emission | None
    candidates: Int[Tensor, "B M"]
    scale: float

    def chunks(self) -> Iterator[tuple[slice, Float[Tensor, "B m V"]]]:
        """Logits of the conditional branch, or guided ones."""
        if self.asked is None:
            yield from self.conditional.chunks()
            return
        for (part, conditional), (_, null) in zip(
            self.conditional.chunks(), self.asked.chunks(), strict=True
        ):
            yield part, null + self.scale * (conditional - null)

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """Guided logits; the unconditional branch is asked here, and only about the chosen places."""
        conditional = self.conditional.at(columns)
        if self.asked is not None:
            null = self.asked.at(columns)
        else:
            chosen = self.unconditional.propose(self.candidates.gather(1, columns))
            null = chosen.at(torch.arange(columns.shape[1], device=columns.device).expand_as(columns))
        return null + self.scale * (conditional - null)


class Guided:
    """Two decoders that commit the same tokens; `linear` scales by tokens filled: s = 1 + (scale - 1) k/N."""

    def __init__(
        self, conditional: Decoder, unconditional: Decoder, config: GuidanceConfig, positions: int
    ) -> None:
        self.conditional, self.unconditional = conditional, unconditional
        self.config, self.positions = config, positions
        self.filled = 0

    def propose(self, candidates: Int[Tensor, "B M"]) -> GuidedEmission:
        """Scores places by the conditional branch alone, unless the recipe asks for guided ones."""
        scale = self.config.scale
        if self.config.schedule == "linear":
            scale = 1.0 + (scale - 1.0) * self.filled / self.positions
        emission = self.conditional.propose(candidates)
        asked = self.unconditional.propose(candidates) if self.config.places == "guided" else None
        return GuidedEmission(emission, self.unconditional, asked, candidates, scale)

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Both branches see what appeared."""
        self.conditional.commit(positions, tokens)
        self.unconditional.commit(positions, tokens)
        self.filled += positions.shape[1]
