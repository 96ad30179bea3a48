"""Keys and values of what was committed, and attention that needs no mask (paper App. B.2).

A query attends to the whole history and to itself, and to another query only if asked to. So history
needs no mask: it is followed by one more slot, whose key stands for each row's own. Its score is put in
before the softmax, and each row's own value is added after it, the slot's being zero.
"""

import torch
from torch import Tensor

from oarpipe.config.orders import Visibility


class Cache:
    """Preallocated keys (over the root of their width) `[layers, B, H, d, rows]` and values
    `[layers, B, H, rows, d]`.

    A pass brings `pending` rows, which are written for good and are causal among themselves, and query
    rows, whose keys and values are only lent: `keep` writes those of one query a sample, if its
    position was chosen, because they are what a committed P would have had.
    """

    def __init__(self, layers: int, rows: int, visibility: Visibility = "independent") -> None:
        self.layers, self.rows, self.visibility = layers, rows + 1, visibility
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
            self._keys = k.new_zeros(self.layers, batch, heads, width, self.rows)
            self._values = k.new_zeros(self.layers, batch, heads, self.rows, width)
        keys, values = self._keys[layer], self._values[layer]
        start, end, scale = self.length, self.length + pending, k.shape[-1] ** -0.5
        keys[..., start:end] = (k[:, :, :pending] * scale).transpose(-1, -2)
        values[:, :, start:end] = v[:, :, :pending]
        self._lent.append((k[:, :, pending:], v[:, :, pending:]))

        if self.visibility == "independent":
            scores = q @ keys[..., : end + 1]  # [B, H, pending + M, end + 1]
            scores[..., end] = torch.linalg.vecdot(q, k) * scale
        else:
            among = q @ k[:, :, pending:].transpose(-1, -2) * scale
            if self.visibility == "causal":
                among[:, :, pending:].masked_fill_(_later(among.shape[-1], q.device), float("-inf"))
            scores = torch.cat([q @ keys[..., :end], among], dim=-1)  # [B, H, pending + M, end + M]
        scores[:, :, :pending, end:] = float("-inf")  # a pending row already meets itself in the history
        if pending > 1:
            scores[:, :, :pending, start:end].masked_fill_(_later(pending, q.device), float("-inf"))
        weights = scores.softmax(-1)
        if self.visibility == "independent":
            mixed = weights @ values[:, :, : end + 1]
            return mixed.addcmul_(weights[..., end:], v)
        return weights[..., :end] @ values[:, :, :end] + weights[..., end:] @ v[:, :, pending:]

    def end(self) -> None:
        """The pass is over: its pending rows are history."""
        self.length += self._pending

    def keep(self, column: Tensor) -> None:
        """Writes the keys and values of query `column[b]` of the last pass."""
        assert self._keys is not None
        assert self._values is not None
        for layer, (k, v) in enumerate(self._lent):
            chosen = column.view(-1, 1, 1, 1).expand(-1, k.shape[1], 1, k.shape[-1])
            kept = k.gather(2, chosen) * k.shape[-1] ** -0.5
            self._keys[layer, ..., self.length : self.length + 1] = kept.transpose(-1, -2)
            self._values[layer, :, :, self.length : self.length + 1] = v.gather(2, chosen)
        self.length += 1
        self._lent = []


def _later(rows: int, device: torch.device) -> Tensor:
    """True where a column comes after its row."""
    return torch.ones(rows, rows, dtype=torch.bool, device=device).triu(1)
