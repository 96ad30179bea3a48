"""Rotary multi-head attention that leaves *who attends to whom* to its caller.

A training forward is causal, a decoder has a cache: both pass an `attend` function and share the rest.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from oarpipe.models.gradients import Dropout, gated, rms_norm, turned

# q, k, v [B, H, S, d] -> [B, H, S, d]
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
# Queries and keys, turned, [B, S, 2H, d], and values [B, S, H, d]
Projected = tuple[Tensor, Tensor]
EVERY_ROW = slice(None)


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Each row attends to itself and to the rows before it."""
    return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)


class Attention(nn.Module):
    """Fused q, k, v projection, rotation of q and k, output projection; no biases (RandAR)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.wqkv = nn.Linear(width, 3 * width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.dropout = Dropout(dropout)

    def project(self, x: Float[Tensor, "B S D"], rotation: Float[Tensor, "B S 1 F 2"]) -> Projected:
        """Turned queries and keys, and values."""
        batch, rows, width = x.shape
        qkv = turned(self.wqkv(x), rotation, channels=2 * width)
        qk, v = qkv.view(batch, rows, 3 * self.heads, -1).split([2 * self.heads, self.heads], dim=2)
        return qk, v

    def forward(self, projected: Projected, attend: Attend, keep: slice) -> Float[Tensor, "B R D"]:
        qk, v = projected
        q, k = qk.transpose(1, 2).chunk(2, dim=1)  # [B, H, S, d] each
        heads = attend(q, k, v.transpose(1, 2))[:, :, keep].transpose(1, 2).flatten(2)
        mixed: Tensor = self.dropout(self.wo(heads))
        return mixed


class SwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x); the hidden width is 8/3 of the width, up to a multiple of 256 (RandAR)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        hidden = 256 * -(-int(2 / 3 * 4 * width) // 256)
        self.w1 = nn.Linear(width, hidden, bias=False)
        self.w3 = nn.Linear(width, hidden, bias=False)
        self.w2 = nn.Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        mixed: Tensor = self.dropout(self.w2(gated(self.w1(x), self.w3(x))))
        return mixed


class RMSNorm(nn.Module):
    """x / rms(x) in float32 or wider, cast back, then times a learned weight."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
        return rms_norm(x, self.weight, self.eps)


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, width: int, heads: int, residual_dropout: float, ffn_dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, residual_dropout)
        self.feed_forward = SwiGLU(width, ffn_dropout)
        self.attention_norm = RMSNorm(width)
        self.ffn_norm = RMSNorm(width)

    def project(self, x: Float[Tensor, "B S D"], rotation: Float[Tensor, "B S 1 F 2"]) -> Projected:
        """What attention will be asked with."""
        return self.attention.project(self.attention_norm(x), rotation)

    def forward(
        self,
        x: Float[Tensor, "B S D"],
        rotation: Float[Tensor, "B S 1 F 2"],
        attend: Attend,
        keep: slice = EVERY_ROW,
        projected: Projected | None = None,
    ) -> Float[Tensor, "B R D"]:
        """All rows are attended to; only the `keep` rows go on. `projected` is x's projection, if known."""
        projected = self.project(x, rotation) if projected is None else projected
        kept: Tensor = x[:, keep] + self.attention(projected, attend, keep)
        mixed: Tensor = kept + self.feed_forward(self.ffn_norm(kept))
        return mixed
