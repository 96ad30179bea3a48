"""The cached decoder of the next-token model: one row a step, and only ever the next position."""

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.decoding.emissions import Categorical
from oarpipe.decoding.passes import Passes
from oarpipe.errors import BadInput
from oarpipe.models.next_token import RASTER_ONLY, NextToken


class NextTokenDecoder:
    """Equals the training forward; a step feeds the class, or the code found last, and reads there.

    All rows are history, so the cache is never lent a query.
    """

    def __init__(self, model: NextToken, labels: Int[Tensor, " B"]) -> None:
        self.model = model
        self.passes = Passes(model, len(labels), model.grid.positions)
        self.pending: Tensor | None = model.start(labels)
        self.places = torch.zeros_like(labels[:, None])  # 0: the class token's
        self.next = torch.zeros(len(labels), 1, dtype=torch.int64, device=labels.device)

    def propose(self, candidates: Int[Tensor, "B M"]) -> Categorical:
        """The distribution at the next raster position; `BadInput` if asked about any other.

        On a GPU only their number is looked at: the host would wait for the rest at every step.
        """
        if candidates.shape[1] != 1 or not (candidates.is_cuda or torch.equal(candidates, self.next)):
            raise BadInput(RASTER_ONLY)
        assert self.pending is not None, "a commit lies between two proposals"
        answer = self.passes.run(self.pending, self.places, 1, "causal")
        self.passes.cache.end(1)
        self.pending = None
        return Categorical(self.passes.logits(answer))

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Fills the position that was asked about."""
        assert self.pending is None, "commit follows propose"
        assert positions.is_cuda or torch.equal(positions, self.next), f"{positions} were not asked about"
        self.pending, self.places = self.model.content(tokens), positions + 1
        self.next = self.next + 1

    def outlook(self) -> None:
        """Nothing."""
