"""One pass of the trunk over the rows of a step: the training forward, without what only training needs."""

import torch
from torch import Tensor

from oarpipe.config.orders import Visibility
from oarpipe.decoding.cache import cache_of
from oarpipe.decoding.packed import PackedBlock, PackedModel
from oarpipe.decoding.scratch import Scratch
from oarpipe.models.positions import rotate
from oarpipe.models.token_model import TokenModel


class Passes:
    """Passes of one walk, with their cache of `rows` rows a sample.

    The residual stream is changed in place and every product has a place of its own, taken anew by the
    next. Where queries are independent, their projections stay until one of them is kept.
    """

    def __init__(self, model: TokenModel, batch: int, rows: int) -> None:
        self.packed = PackedModel.of(model)
        self.heads, self.head_width = model.heads, model.width // model.heads
        weights = self.packed.head
        self.cache = cache_of((len(self.packed.blocks), batch, self.heads, rows, self.head_width), weights)
        self.scratch = Scratch(weights)

    @torch.no_grad()
    def projected(self, x: Tensor) -> Tensor:
        """q, k and v of the first layer, not turned: x [R, D] -> [R, 3D]."""
        return _normed(x, self.packed.eps) @ self.packed.blocks[0].qkv

    @torch.no_grad()
    def run(
        self,
        x: Tensor,
        turns: Tensor,
        pending: int,
        visibility: Visibility,
        *,
        first: tuple[Tensor, Tensor] | None = None,
        answered: int = 0,
    ) -> Tensor:
        """Rows x [B, S, D], overwritten, turned by complex `turns` [B, S, F] -> rows from `answered` on.

        `first` tells where `projected(x)` is known from: a table, and which of its rows [B, S].
        """
        batch, rows, width = x.shape
        blocks, lends = self.packed.blocks, visibility == "independent"
        self.cache.begin(pending, rows - pending, visibility)
        self._turns, self._pending = turns, pending
        self._projections = self.scratch.take(
            "projections", len(blocks) if lends else 1, batch * rows, 3 * width
        )
        x = x.view(-1, width)
        for layer, block in enumerate(blocks):
            qkv = self._projections[layer if lends else 0]
            if layer == 0 and first is not None:
                torch.index_select(first[0], 0, first[1].flatten(), out=qkv)
            else:
                torch.mm(self._normed(x), block.qkv, out=qkv)
            skipped = answered if layer == len(blocks) - 1 else 0
            heads = self._attended(layer, qkv.view(batch, rows, 3, self.heads, -1), skipped)
            if skipped:
                x = x.view(batch, rows, width)[:, skipped:].reshape(-1, width)
            x.addmm_(heads, block.out)
            self._feed_forward(x, block)
        return x.view(batch, -1, width)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """The head: [..., D] -> [..., V], float32 or wider."""
        logits = _normed(x, self.packed.eps) @ self.packed.head
        return logits if logits.dtype == torch.float64 else logits.float()

    @torch.no_grad()
    def keep(self, column: Tensor) -> None:
        """Writes the keys and values of independent query `column[b]` of the last pass."""
        batch = torch.arange(len(column), device=column.device)
        chosen = self._pending + column
        lent = self._projections.view(
            len(self.packed.blocks), len(column), -1, 3, self.heads, self.head_width
        )
        lent = lent[:, batch, chosen, 1:]  # [layers, B, 2, H, d]
        keys = rotate(lent[:, :, 0], torch.view_as_real(self._turns[batch, chosen][:, None]))
        self.cache.append(keys, lent[:, :, 1])

    def _attended(self, layer: int, qkv: Tensor, skipped: int) -> Tensor:
        """qkv [B, S, 3, H, d] -> [B R, D], of the rows that are not skipped."""
        batch, rows, _, heads, width = qkv.shape
        qk = self.scratch.take("turned", 2, batch, heads, rows, width)
        _turn(qkv[:, :, :2].permute(2, 0, 3, 1, 4), self._turns[None, :, None], qk)
        q, k = qk.view(2, batch * heads, rows, width)
        mixed = self.cache.attend(layer, q, k, qkv[:, :, 2].transpose(1, 2), skipped)
        joined = self.scratch.take("joined", batch, rows - skipped, heads, width)
        return joined.copy_(mixed.transpose(1, 2)).view(-1, heads * width)

    def _feed_forward(self, x: Tensor, block: PackedBlock) -> None:
        up = self.scratch.take("up", len(x), block.up.shape[1])
        torch.mm(self._normed(x), block.up, out=up)
        gate, factor = up.chunk(2, dim=1)
        x.addmm_(torch.nn.functional.silu(gate, inplace=True).mul_(factor), block.down)

    def _normed(self, x: Tensor) -> Tensor:
        return _normed(x, self.packed.eps, out=self.scratch.take("normed", *x.shape))


def _normed(x: Tensor, eps: float, out: Tensor | None = None) -> Tensor:
    """x / rms(x), computed in float32 or wider; the norm's weight is in the matrix that follows."""
    wide = torch.promote_types(x.dtype, torch.float32)
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=wide)
    out = torch.empty_like(x) if out is None else out
    return torch.mul(x, norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_(), out=out)


def _turn(x: Tensor, turns: Tensor, out: Tensor) -> None:
    """Turns channel pairs, in float32 or wider."""
    if x.dtype == torch.bfloat16:
        out.copy_(rotate(x, torch.view_as_real(turns)))
    else:
        pairs, turned = (torch.view_as_complex(y.unflatten(-1, (-1, 2))) for y in (x, out))
        torch.mul(pairs, turns, out=turned)
