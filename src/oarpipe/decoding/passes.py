"""One pass of the trunk over the rows of a step: the training forward, without what only training needs."""

import torch
from torch import Tensor

from oarpipe.config.orders import Visibility
from oarpipe.decoding.cache import cache_of
from oarpipe.decoding.packed import Normed, PackedBlock, PackedModel
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
        weights = self.packed.head.matrix
        # q and k share the root of their width that their product is divided by.
        self.turns = torch.view_as_complex(model.rotary) * self.head_width**-0.25
        self.cache = cache_of((len(self.packed.blocks), batch, self.heads, rows, self.head_width), weights)
        self.scratch = Scratch(weights)

    @torch.no_grad()
    def projected(self, x: Tensor) -> Tensor:
        """q, k and v of the first layer, not turned: x [R, D] -> [R, 3D]."""
        return self.packed.blocks[0].qkv(x)

    @torch.no_grad()
    def run(
        self,
        x: Tensor,
        places: Tensor,
        pending: int,
        visibility: Visibility,
        *,
        first: tuple[Tensor, Tensor] | None = None,
        answered: int = 0,
    ) -> Tensor:
        """Rows x [B, S, D], overwritten, at `places` [B, S] -> rows from `answered` on.

        A place is a position and one; 0 is the class token's. `first` tells where `projected(x)` is
        known from: a table, and which of its rows [B, S].
        """
        batch, rows, width = x.shape
        blocks = self.packed.blocks
        kept = len(blocks) if visibility == "independent" else 1
        self.cache.begin(pending, rows - pending, visibility)
        self._pending, self._turns = pending, self.turns[places]
        self._projections = self.scratch.take("projections", kept, batch * rows, 3 * width)
        heads = _Heads(
            self._projections.view(kept, batch, rows, 3, self.heads, -1),
            self.scratch.take("turned", 2, batch, self.heads, rows, self.head_width),
            self._turns,
        )
        x = x.view(-1, width)
        each = self._projections.unbind(0)
        for layer, block in enumerate(blocks):
            qkv = each[layer % kept]
            if layer == 0 and first is not None:
                torch.index_select(first[0], 0, first[1].flatten(), out=qkv)
            else:
                torch.mm(self._normed(x, block.qkv), block.qkv.matrix, out=qkv)
            skipped = answered if layer == len(blocks) - 1 else 0
            mixed = self.cache.attend(layer, *heads.of(layer % kept), skipped)
            joined = self.scratch.take("joined", batch, rows - skipped, self.heads, self.head_width)
            joined.copy_(mixed.transpose(1, 2))
            if skipped:
                x = x.view(batch, rows, width)[:, skipped:].reshape(-1, width)
            x.addmm_(joined.view(-1, width), block.out)
            self._feed_forward(x, block)
        return x.view(batch, -1, width)

    @torch.no_grad()
    def logits(self, x: Tensor) -> Tensor:
        """The head: [..., D] -> [..., V], float32 or wider."""
        logits = self.packed.head(x)
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

    def _feed_forward(self, x: Tensor, block: PackedBlock) -> None:
        up = self.scratch.take("up", len(x), block.up.matrix.shape[1])
        torch.mm(self._normed(x, block.up), block.up.matrix, out=up)
        gate, factor = up.chunk(2, dim=1)
        x.addmm_(torch.nn.functional.silu(gate, inplace=True).mul_(factor), block.down)

    def _normed(self, x: Tensor, behind: Normed) -> Tensor:
        return behind.norm(x, out=self.scratch.take("normed", *x.shape))


class _Heads:
    """q, k and v of a pass, as attention takes them: views of all layers are made at once."""

    def __init__(self, projections: Tensor, turned: Tensor, turns: Tensor) -> None:
        """`projections` [L, B, S, 3, H, d]; `turned` [2, B, H, S, d] is written anew by every layer."""
        qk = projections[:, :, :, :2].permute(0, 3, 1, 4, 2, 5)
        self._v = projections[:, :, :, 2].transpose(2, 3).unbind(0)
        self._q, self._k = turned.flatten(1, 2).unbind(0)
        self._turned, self._turns = turned, turns[None, :, None]
        self._rounded = turned.dtype == torch.bfloat16
        if self._rounded:
            self._qk = qk.unbind(0)
        else:
            self._qk = torch.view_as_complex(qk.unflatten(-1, (-1, 2))).unbind(0)
            self._turned = torch.view_as_complex(turned.unflatten(-1, (-1, 2)))

    def of(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """q and k [BH, S, d], turned in float32 or wider, and v [B, H, S, d]."""
        if self._rounded:
            self._turned.copy_(rotate(self._qk[layer], torch.view_as_real(self._turns)))
        else:
            torch.mul(self._qk[layer], self._turns, out=self._turned)
        return self._q, self._k, self._v[layer]
