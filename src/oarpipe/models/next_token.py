"""LlamaGen's class-conditional transformer (Sun et al. 2024, arXiv 2406.06525): the raster baseline.

The sequence is `class, x1, x2, …, x(N-1)` in raster order, and the token after each is read at it. It
has RandAR's trunk and published names, less the position-instruction tokens, so it can go no other way.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.errors import BadInput
from oarpipe.models.attention import EVERY_ROW, causal
from oarpipe.models.token_model import TokenModel

RASTER_ONLY = (
    "a next-token model (LlamaGen's) only goes in raster order, one place a step, and got another; "
    "follow the rule `raster`, or take an any-order model"
)


class NextToken(TokenModel):
    """Takes the raster order alone, or a prefix of it."""

    kind: ClassVar[str] = "next_token"

    def forward(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B S"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S V"]:
        """Raster `tokens` -> logits for the first S positions; `BadInput` if `order` is not theirs."""
        if not bool((order == torch.arange(order.shape[1], device=order.device)).all()):
            raise BadInput(RASTER_ONLY)
        before = order[:, :-1]
        x = torch.cat([self.start(labels), self.content(tokens[:, : before.shape[1]])], dim=1)  # [B, S, D]
        turns = torch.cat([self.start_rotation(len(order)), self.rotation(before)], dim=1)
        return self.head(self.trunk(x, turns, causal, keep=EVERY_ROW))
