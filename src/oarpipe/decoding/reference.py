"""The slow, obvious decoders: the oracle of the fast one, and the naive rows of the paper's Table 8."""

import torch
from jaxtyping import Int
from torch import Tensor, nn

from oarpipe.config.orders import Visibility
from oarpipe.decoding.emissions import Categorical
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.token_model import TokenModel


class ReferenceDecoder:
    """Asks the training forward alone: no cache, one candidate at a time, the whole prefix each time."""

    def __init__(self, model: TokenModel, labels: Int[Tensor, " B"]) -> None:
        self.model, self.labels = model, labels
        self.tokens = torch.zeros(len(labels), model.grid.positions, dtype=torch.int64, device=labels.device)
        self.order = self.tokens[:, :0]

    def propose(self, candidates: Int[Tensor, "B M"]) -> Categorical:
        """The last row of the forward over (history, candidate), for each candidate."""
        answers = [
            self.model(self.tokens, torch.cat([self.order, candidate], dim=1), self.labels)[:, -1]
            for candidate in candidates.split(1, dim=1)
        ]
        return Categorical(torch.stack(answers, dim=1))

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Writes the codes down and lengthens the history."""
        self.tokens = self.tokens.scatter(1, positions, tokens)
        self.order = torch.cat([self.order, positions], dim=1)

    def outlook(self) -> None:
        """Nothing."""


class MaskedDecoder:
    """All candidates in one pass under the mask of paper Eq. 2, but the history anew at every step.

    With another `visibility` the mask lets candidates see earlier ones, or all.
    """

    def __init__(
        self, model: PositionTokens, labels: Int[Tensor, " B"], visibility: Visibility = "independent"
    ) -> None:
        self.model, self.visibility = model, visibility
        self.x, self.turns = model.start(labels), model.start_rotation(len(labels))

    def propose(self, candidates: Int[Tensor, "B M"]) -> Categorical:
        """History is causal; each candidate sees the history, itself, and what `visibility` adds."""
        history, asked = self.x.shape[1], candidates.shape[1]
        x = torch.cat([self.x, self.model.queries(candidates)], dim=1)
        turns = torch.cat([self.turns, self.model.rotation(candidates)], dim=1)
        sees = torch.eye(history + asked, dtype=torch.bool, device=x.device)
        sees[:history, :history] = torch.ones(history, history, dtype=torch.bool, device=x.device).tril()
        sees[history:, :history] = True
        if self.visibility != "independent":
            among = torch.ones_like(sees[history:, history:])
            sees[history:, history:] = among if self.visibility == "mutual" else among.tril()

        def masked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=sees)

        return Categorical(self.model.head(self.model.trunk(x, turns, masked, keep=slice(history, None))))

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Appends the pairs (P, x)."""
        asked, found = self.model.queries(positions), self.model.content(tokens)
        pairs = torch.stack([asked, found], dim=2).flatten(1, 2)
        self.x = torch.cat([self.x, pairs], dim=1)
        self.turns = torch.cat(
            [self.turns, self.model.rotation(positions).repeat_interleave(2, dim=1)], dim=1
        )

    def outlook(self) -> None:
        """Nothing."""
