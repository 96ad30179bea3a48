"""Keys and values of what was committed, and attention that needs no mask of the history (paper App. B.2).

Every row of a pass sees the whole history. There are two ways to attend to it. The plain one writes the
scores down: rows that may see one another are written behind the history, and what is left to forbid is
a triangle of a few columns; independent queries see one more column, the slot behind the history, which
stands for each row's own key: its score is put in before the softmax, and each row's own value is added
after it, the slot's value being zero. The fused one never has scores: it attends to the history and to
the rows of the pass apart, and merges the two by their log-sum-exps.
"""

import torch
from torch import Tensor

from oarpipe.config.orders import Visibility
from oarpipe.decoding.scratch import Scratch


class Cache:
    """Preallocated keys `[layers, BH, d, rows]`, turned, and values `[layers, B, H, rows, d]`.

    A pass brings `pending` rows, which are causal among themselves and are written for good, and
    queries, which are written only to be seen; `length` says how much of it is history.
    """

    def __init__(self, shape: tuple[int, int, int, int, int], like: Tensor) -> None:
        """`shape`: layers, batch, heads, rows, width of a head."""
        layers, batch, heads, rows, width = shape
        self.keys = self._empty_keys(layers, batch * heads, width, rows + 1, like)
        self.values = like.new_zeros(layers, batch, heads, rows + 1, width)
        self.length = 0
        self._scratch = Scratch(like)

    @staticmethod
    def _empty_keys(layers: int, heads: int, width: int, rows: int, like: Tensor) -> Tensor:
        """Transposed: products of few rows with them are quicker so on a CPU."""
        return like.new_zeros(layers, heads, width, rows)

    def begin(self, pending: int, queries: int, visibility: Visibility) -> None:
        """A pass of so many rows a sample."""
        rows = pending + queries
        self._lends = visibility == "independent"
        self._new = pending if self._lends else rows
        self._chained = rows if visibility == "causal" else pending
        new, seen = slice(self.length, self.length + self._new), self.length + self._new + self._lends
        self._new_keys = self.keys[..., new].transpose(2, 3).unbind(0)
        self._new_values = self.values[:, :, :, new].unbind(0)
        self._seen_keys = self.keys[..., :seen].unbind(0)
        self._seen_values = self.values.flatten(1, 2)[:, :, :seen].unbind(0)
        self._forbidden = None
        if rows > 1:
            forbidden = self.keys.new_full((self._chained, rows), float("-inf"))
            self._forbidden = forbidden[:, : pending + 1 if self._lends else rows].triu_(1)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, skipped: int) -> Tensor:
        """Scaled q and k [BH, S, d], v [B, H, S, d] -> [B, H, R, d], less the first `skipped` rows."""
        self._write(layer, k, v)
        keys, values = self._seen_keys[layer], self._seen_values[layer]
        q = q[:, skipped:]
        scores = self._scratch.take("scores", *q.shape[:2], keys.shape[2])
        torch.bmm(q, keys, out=scores)
        if self._lends:
            scores[..., -1] = torch.linalg.vecdot(q, k[:, skipped:])
        if self._forbidden is not None and skipped < self._chained:
            rows, columns = self._chained - skipped, self._forbidden.shape[1]
            scores[:, :rows, self.length : self.length + columns].add_(self._forbidden[skipped:])
        torch.softmax(scores, -1, out=scores)
        mixed = self._scratch.take("mixed", *q.shape)
        torch.bmm(scores, values, out=mixed)
        mixed = mixed.view(*v.shape[:2], *q.shape[1:])
        if self._lends:
            mixed.addcmul_(scores[..., -1].view(*v.shape[:2], -1, 1), v[:, :, skipped:])
        return mixed

    def end(self, kept: int) -> None:
        """The pass is over: so many of its rows are history."""
        self.length += kept

    def append(self, keys: Tensor, values: Tensor) -> None:
        """One row a sample, [layers, B, H, d] each."""
        self.keys[..., self.length] = keys.flatten(1, 2)
        self.values[:, :, :, self.length] = values
        self.length += 1

    def _write(self, layer: int, k: Tensor, v: Tensor) -> None:
        """The rows that others see."""
        if self._new < k.shape[1]:
            k, v = k[:, : self._new], v[:, :, : self._new]
        self._new_keys[layer].copy_(k)
        self._new_values[layer].copy_(v)


class FusedCache(Cache):
    """The same by fused attention, for GPUs and half precision."""

    @staticmethod
    def _empty_keys(layers: int, heads: int, width: int, rows: int, like: Tensor) -> Tensor:
        """As fused kernels read them."""
        return like.new_zeros(layers, heads, rows, width).transpose(2, 3)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, skipped: int) -> Tensor:
        """As the plain one."""
        self._write(layer, k, v)
        q, k, keys = (x.unflatten(0, v.shape[:2]) for x in (q, k, self.keys[layer].transpose(1, 2)))
        values, chained = self.values[layer], self._chained
        parts = []
        if skipped < chained:
            mixed, weight = _fused(q[:, :, :chained], k[:, :, :chained], v[:, :, :chained], causal=True)
            if self.length:
                history = keys[:, :, : self.length], values[:, :, : self.length]
                mixed = _merged(*_fused(q[:, :, :chained], *history), mixed, weight)
            parts.append(mixed[:, :, skipped:])
        if chained < q.shape[2]:
            asked, seen = q[:, :, chained:], slice(self.length + self._new)
            mixed, weight = _fused(asked, keys[:, :, seen], values[:, :, seen])
            if self._lends:
                own = torch.linalg.vecdot(*(x[:, :, chained:].to(weight.dtype) for x in (q, k)))
                mixed = _merged(mixed, weight, v[:, :, chained:], own)
            parts.append(mixed[:, :, max(skipped - chained, 0) :])
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def cache_of(shape: tuple[int, int, int, int, int], like: Tensor) -> Cache:
    """Fused where there are kernels for it: half precision on a GPU, heads of a multiple of eight."""
    fused = like.is_cuda and like.dtype in (torch.bfloat16, torch.float16) and shape[-1] % 8 == 0
    return (FusedCache if fused else Cache)(shape, like)


def _fused(q: Tensor, k: Tensor, v: Tensor, causal: bool = False) -> tuple[Tensor, Tensor]:
    """Attention of scaled queries, and the log-sum-exp of their scores [B, H, R]."""
    if q.is_cuda:
        found = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal, False, scale=1.0)
        return found[0], found[1]
    mixed, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, causal, scale=1.0
    )
    return mixed, weight


def _merged(a: Tensor, a_weight: Tensor, b: Tensor, b_weight: Tensor) -> Tensor:
    """Attention to two sets of rows from attention to each and its log-sum-exp; float32 or wider."""
    wide = torch.promote_types(a.dtype, torch.float32)
    share = torch.sigmoid(b_weight - a_weight).to(wide)[..., None]
    return a.to(wide).lerp(b.to(wide), share).to(a.dtype)
