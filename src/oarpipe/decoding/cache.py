"""Keys and values of what was committed, and attention that needs no mask (paper App. B.2).

A query attends to the whole history and to itself, never to another query. So history needs no mask:
it is followed by one more slot, whose key stands for each row's own. Its score is put in before the
softmax, and each row's own value is added after it, the slot's being zero.
"""

import torch
from torch import Tensor


class Cache:
    """Preallocated keys (over the root of their width) and values of every layer, `[layers, B, H, rows, d]`.

    A pass brings `pending` rows, which are written for good and are causal among themselves, and query
    rows, whose keys and values are only lent: `keep` writes those of one query a sample, if its
    position was chosen, because they are what a committed P would have had.
    """

    def __init__(self, layers: int, rows: int) -> None:
        self.layers, self.rows = layers, rows
        self.length = 0
        self._keys: Tensor | None = None
        self._values: Tensor | None = None
        self._lent: list[tuple[Tensor, Tensor]] = []
        self._pending = 0

    def begin(self, pending: int) -> None:
        """A pass whose first `pending` rows are to be written."""
        self._pending, self._lent = pending, []

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The next layer's attention: q, k, v [B, H, pending + M, d] -> the same shape."""
        layer, pending = len(self._lent), self._pending
        if self._keys is None or self._values is None:
            batch, heads, _, width = k.shape
            self._keys = k.new_zeros(self.layers, batch, heads, self.rows + 1, width)
            self._values = torch.zeros_like(self._keys)
        end, scale = self.length + pending, k.shape[-1] ** -0.5
        self._keys[layer, :, :, self.length : end] = k[:, :, :pending] * scale
        self._values[layer, :, :, self.length : end] = v[:, :, :pending]
        self._lent.append((k[:, :, pending:], v[:, :, pending:]))
        scores = q @ self._keys[layer, :, :, : end + 1].transpose(-1, -2)  # [B, H, pending + M, end + 1]
        scores[..., end] = (q * k).sum(-1) * scale
        scores[:, :, :pending, end] = float("-inf")  # a pending row already meets itself in the history
        if pending > 1:
            later = torch.ones(pending, pending, dtype=torch.bool, device=q.device).triu(1)
            scores[:, :, :pending, self.length : end].masked_fill_(later, float("-inf"))
        weights = scores.softmax(-1)
        mixed = weights @ self._values[layer, :, :, : end + 1]
        return mixed.addcmul_(weights[..., end:], v)

    def end(self) -> None:
        """The pass is over: its pending rows are history."""
        self.length += self._pending

    def keep(self, column: Tensor) -> None:
        """Writes the keys and values of query `column[b]` of the last pass."""
        assert self._keys is not None
        assert self._values is not None
        rows = torch.arange(len(column), device=column.device)
        for layer, (k, v) in enumerate(self._lent):
            self._keys[layer, :, :, self.length] = k[rows, :, column] * k.shape[-1] ** -0.5
            self._values[layer, :, :, self.length] = v[rows, :, column]
        self.length += 1
        self._lent = []
