"""The cached decoder of the position-token model: one pass a step for any number of candidates."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.decoding.cache import Cache
from oarpipe.models.position_tokens import PositionTokens


@dataclass(frozen=True)
class Categorical:
    """Distributions over the codebook at the positions asked about."""

    logits: Float[Tensor, "B M V"]

    def at(self, columns: Int[Tensor, "B K"]) -> Float[Tensor, "B K V"]:
        """The rows of the chosen columns."""
        return self.logits.gather(1, columns[..., None].expand(-1, -1, self.logits.shape[-1]))


class PositionTokensDecoder:
    """Equals the training forward of the same order (paper Eq. 2), at one row a candidate.

    A step feeds `[x of the last step, one query a candidate]`. The chosen query's keys and values stay,
    being those of a committed P. Where several places are filled a step, the others' P are computed
    anew in the next pass, because in the committed sequence they see the pairs before them:
    `[x1, P2, x2, …, Pk, xk, queries]`.
    """

    def __init__(self, model: PositionTokens, labels: Int[Tensor, " B"]) -> None:
        self.model = model
        self.cache = Cache(len(model.layers), 2 * model.grid.positions + 1)
        self.pending = model.start(labels)
        self.turns = model.start_rotation(len(labels))
        self.every_query = model.queries(torch.arange(model.grid.positions, device=labels.device)[None])[0]
        self.candidates: Tensor | None = None

    def propose(self, candidates: Int[Tensor, "B M"]) -> Categorical:
        """Distributions at the candidates, given everything committed."""
        pending = self.pending.shape[1]
        x = torch.cat([self.pending, self.every_query[candidates]], dim=1)
        turns = torch.cat([self.turns, self.model.rotation(candidates)], dim=1)
        self.cache.begin(pending)
        answers = self.model.trunk(x, turns, self.cache.attend, keep=slice(pending, None))
        self.cache.end()
        self.candidates = candidates
        return Categorical(self.model.head(answers))

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Fills positions that were among the last candidates; a pass must lie between two commits."""
        assert self.candidates is not None, "commit follows propose"
        column = (self.candidates == positions[:, :1]).int().argmax(dim=1)
        self.cache.keep(column)
        asked, found = self.every_query[positions], self.model.content(tokens)
        self.pending = torch.stack([asked, found], dim=2).flatten(1, 2)[:, 1:]
        self.turns = self.model.rotation(positions).repeat_interleave(2, dim=1)[:, 1:]
        self.candidates = None
