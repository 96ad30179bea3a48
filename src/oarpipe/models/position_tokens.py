"""RandAR's transformer (Pang et al. 2024, arXiv 2412.01827): position-instruction tokens.

The sequence is `class, P1, x1, P2, x2, …`: P_t asks what is at the t-th position of the order, x_t is
the code found there. Attention is causal, and the answer to P_t is read at P_t.
"""

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from oarpipe.models.attention import causal
from oarpipe.models.positions import rotate
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.algebra import apply


class PositionTokens(TokenModel):
    """Takes any order, also a prefix of one."""

    kind: ClassVar[str] = "position_tokens"

    def __init__(self, **sizes: Any) -> None:
        """The options of `TokenModel`."""
        super().__init__(**sizes)
        self.pos_instruct_embeddings = nn.Parameter(torch.zeros(1, self.width))

    def forward(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B S"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S V"]:
        """Raster `tokens` walked in `order` -> logits in step order: row t is about `order[:, t]`."""
        return self.head(self.answers(tokens, order, labels))

    def answers(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B S"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, "B S D"]:
        """The rows that leave the last block at P1, P2, …, before norm and head."""
        asked, found = self.queries(order), self.content(apply(order, tokens))
        pairs = torch.stack([asked, found], dim=2).flatten(1, 2)  # P1 x1 P2 x2 …   [B, 2S, D]
        x = torch.cat([self.start(labels), pairs[:, :-1]], dim=1)  # the last code predicts nothing
        turns = self.rotation(order).repeat_interleave(2, dim=1)  # [B, 2S, 1, F, 2]
        turns = torch.cat([self.start_rotation(len(order)), turns[:, :-1]], dim=1)
        return self.trunk(x, turns, causal, keep=slice(1, None, 2))

    def queries(self, positions: Int[Tensor, "B M"]) -> Float[Tensor, "B M D"]:
        """The tokens P of positions: one learned vector, turned per head to its cell (and, as
        published, turned again inside attention)."""
        heads = self.pos_instruct_embeddings.view(1, 1, self.heads, -1)
        return rotate(heads, self.rotation(positions)).flatten(2)
