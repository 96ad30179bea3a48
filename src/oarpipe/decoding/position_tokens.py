"""The cached decoder of the position-token model: one pass a step for any number of candidates."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from oarpipe.config.orders import Visibility
from oarpipe.decoding.cache import Cache
from oarpipe.decoding.emissions import Answers
from oarpipe.models.position_tokens import PositionTokens


class PositionTokensDecoder:
    """Equals the training forward of the same order (paper Eq. 2), at one row a candidate.

    A query enters the first block with the same projection at every step: those are made once. A step
    feeds `[x of the last step, one query a candidate]`. The chosen query's keys and values stay,
    being those of a committed P. Where several places are filled a step, the others' P are computed
    anew in the next pass, because in the committed sequence they see the pairs before them:
    `[x1, P2, x2, …, Pk, xk, queries]`. So is the first where queries see one another.
    """

    def __init__(
        self, model: PositionTokens, labels: Int[Tensor, " B"], visibility: Visibility = "independent"
    ) -> None:
        self.model = model
        self.cache = Cache(len(model.layers), 2 * model.grid.positions + 1, visibility)
        self.pending = model.start(labels)
        self.places = torch.zeros_like(labels[:, None])  # rows of the rotary table: 0 is the class token's
        every_position = torch.arange(model.grid.positions, device=labels.device)[None]
        self.every_query = model.queries(every_position)
        self.every_projection = model.first_projection(self.every_query, model.rotation(every_position))
        self.candidates: Tensor | None = None

    def propose(self, candidates: Int[Tensor, "B M"]) -> Answers:
        """Distributions at the candidates, given everything committed."""
        pending = self.pending.shape[1]
        turns = self.model.rotary[torch.cat([self.places, candidates + 1], dim=1)].unsqueeze(2)
        qk, v = self.model.first_projection(self.pending, turns[:, :pending])
        every_qk, every_v = self.every_projection
        rows = self._rows(candidates)
        x = _looked_up(rows, self.every_query, self.pending)
        first = _looked_up(rows, every_qk, qk), _looked_up(rows, every_v, v)
        self.cache.begin(pending)
        answers = self.model.trunk(x, turns, self.cache.attend, keep=slice(pending, None), first=first)
        self.cache.end()
        self.candidates = candidates
        return Answers(answers, self.model.head, self.model.codebook)

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Fills positions that were among the last candidates; a pass must lie between two commits."""
        assert self.candidates is not None, "commit follows propose"
        kept = 0
        if self.cache.visibility != "mutual":
            self.cache.keep((self.candidates == positions[:, :1]).int().argmax(dim=1))
            kept = 1
        asked, found = self.every_query[0, positions], self.model.content(tokens)
        self.pending = torch.stack([asked, found], dim=2).flatten(1, 2)[:, kept:]
        self.places = (positions + 1).repeat_interleave(2, dim=1)[:, kept:]
        self.candidates = None

    def _rows(self, candidates: Tensor) -> Tensor:
        """Of a table of all positions and, behind them, of the pending rows: each sample's own, then its
        candidates'."""
        positions, pending = self.model.grid.positions, self.places.numel()
        own = torch.arange(positions, positions + pending, device=candidates.device)
        return torch.cat([own.view_as(self.places), candidates], dim=1)


def _looked_up(rows: Tensor, every: Tensor, pending: Tensor) -> Tensor:
    """Rows [B, R] of the table of all positions [1, N, …] and the pending rows [B, P, …].

    One look-up in one table, which is quicker than to look up and then to join.
    """
    table = torch.cat([every.flatten(0, 1), pending.flatten(0, 1)]).flatten(1)
    return nn.functional.embedding(rows, table).view(*rows.shape, *pending.shape[2:])
