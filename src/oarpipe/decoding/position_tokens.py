"""The cached decoder of the position-token model: one pass a step for any number of candidates."""

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.config.orders import Visibility
from oarpipe.decoding.emissions import Answers
from oarpipe.decoding.passes import Passes
from oarpipe.models.position_tokens import PositionTokens


class PositionTokensDecoder:
    """Equals the training forward of the same order (paper Eq. 2), at one row a candidate.

    A step feeds `[x of the last step, one query a candidate]`. The chosen query's keys and values stay,
    being those of a committed P. Where several places are filled a step, the others' P are computed
    anew in the next pass, because in the committed sequence they see the pairs before them:
    `[x1, P2, x2, …, Pk, xk, queries]`. So is the first where queries see one another.

    Independent queries enter the first block with the same projection at every step: it is made once.
    """

    def __init__(
        self, model: PositionTokens, labels: Int[Tensor, " B"], visibility: Visibility = "independent"
    ) -> None:
        self.model, self.visibility = model, visibility
        self.passes = Passes(model, len(labels), 2 * model.grid.positions + 1)
        self.pending = model.start(labels)
        self.places = torch.zeros_like(labels[:, None])  # 0: the class token's
        self.every_query = model.queries(torch.arange(model.grid.positions, device=labels.device)[None])[0]
        self.every_projection: Tensor | None = None
        self.candidates: Tensor | None = None

    def propose(self, candidates: Int[Tensor, "B M"]) -> Answers:
        """Distributions at the candidates, given everything committed.

        `causal` and lone queries must be committed in the order they are asked about.
        """
        self.candidates = candidates
        pending = self.pending.shape[1]
        visibility = self._visibility()
        rows, own = self._rows(candidates), self.pending.flatten(0, 1)
        x = torch.nn.functional.embedding(rows, torch.cat([self.every_query, own]))
        first = None
        if visibility == "independent":
            if self.every_projection is None:
                self.every_projection = self.passes.projected(self.every_query)
            first = torch.cat([self.every_projection, self.passes.projected(own)]), rows
        answers = self.passes.run(
            x,
            torch.cat([self.places, candidates + 1], dim=1),
            pending,
            visibility,
            first=first,
            answered=pending,
        )
        self.passes.cache.end(pending + (visibility == "causal"))
        return Answers(answers, self.passes.logits, self.model.codebook)

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Fills positions that were among the last candidates; a pass must lie between two commits."""
        assert self.candidates is not None, "commit follows propose"
        visibility = self._visibility()
        if visibility == "independent":
            self.passes.keep((self.candidates == positions[:, :1]).int().argmax(dim=1))
        kept = 0 if visibility == "mutual" else 1
        asked, found = self.every_query[positions], self.model.content(tokens)
        self.pending = torch.stack([asked, found], dim=2).flatten(1, 2)[:, kept:]
        self.places = (positions + 1).repeat_interleave(2, dim=1)[:, kept:]
        self.candidates = None

    def outlook(self) -> None:
        """Nothing."""

    def _visibility(self) -> Visibility:
        """A lone query is causal: it may stay where it was written."""
        assert self.candidates is not None
        return "causal" if self.candidates.shape[1] == 1 else self.visibility

    def _rows(self, candidates: Tensor) -> Tensor:
        """Of a table of all positions and, behind them, of the pending rows: each sample's own, then its
        candidates'. One look-up in one table is quicker than to look up and then to join."""
        positions, pending = self.model.grid.positions, self.places.numel()
        own = torch.arange(positions, positions + pending, device=candidates.device)
        return torch.cat([own.view_as(self.places), candidates], dim=1)
