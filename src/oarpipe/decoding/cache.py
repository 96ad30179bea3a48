"""Keys and values of what was committed, and attention that needs no mask of the history (paper App. B.2).

Every row of a pass sees the whole history. Rows that may see one another are written behind it, and what
is left to forbid is a triangle of a few columns. Independent queries see one more column instead, the
slot behind the history: it stands for each row's own key, so its score is put in before the softmax, and
each row's own value is added after it, the slot's value being zero.
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
        self.keys = like.new_zeros(layers, batch * heads, width, rows + 1)
        self.values = like.new_zeros(layers, batch, heads, rows + 1, width)
        self.length = 0
        self._scratch = Scratch(like)

    def begin(self, pending: int, queries: int, visibility: Visibility) -> None:
        """A pass of so many rows a sample."""
        rows = pending + queries
        self._lends = visibility == "independent"
        self._new = pending if self._lends else rows
        self._forbidden = None
        if rows > 1:
            forbidden = self.keys.new_full((pending if visibility != "causal" else rows, rows), float("-inf"))
            self._forbidden = forbidden[:, : pending + 1 if self._lends else rows].triu_(1)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Scaled q [BH, R, d] of the last R rows; k [BH, S, d] and v [B, H, S, d] of all -> [B, H, R, d]."""
        keys, values = self.keys[layer], self.values[layer]
        start, end = self.length, self.length + self._new
        skipped = k.shape[1] - q.shape[1]
        keys[..., start:end] = k[:, : self._new].transpose(1, 2)
        values[:, :, start:end] = v[:, :, : self._new]
        seen = end + 1 if self._lends else end
        scores = self._scratch.take("scores", *q.shape[:2], seen)
        torch.bmm(q, keys[..., :seen], out=scores)
        if self._lends:
            scores[..., end] = torch.linalg.vecdot(q, k[:, skipped:])
        if self._forbidden is not None and skipped < len(self._forbidden):
            rows, columns = self._forbidden.shape
            scores[:, : rows - skipped, start : start + columns] += self._forbidden[skipped:]
        torch.softmax(scores, -1, out=scores)
        mixed = self._scratch.take("mixed", *q.shape)
        torch.bmm(scores, values.flatten(0, 1)[:, :seen], out=mixed)
        mixed = mixed.view(*v.shape[:2], *q.shape[1:])
        if self._lends:
            own = scores[..., end].view(*v.shape[:2], -1, 1)
            mixed.addcmul_(own, v[:, :, skipped:])
        return mixed

    def end(self, kept: int) -> None:
        """The pass is over: so many of its rows are history."""
        self.length += kept

    def append(self, keys: Tensor, values: Tensor) -> None:
        """One row a sample, [layers, B, H, d] each."""
        self.keys[..., self.length] = keys.flatten(1, 2)
        self.values[:, :, :, self.length] = values
        self.length += 1
