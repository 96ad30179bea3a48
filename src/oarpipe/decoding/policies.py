"""Where next: follow an order, or go where a score is highest, near the last place or not.

Scores are float32 or wider, at temperature 1 and unfiltered; ties go to the lowest position.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_per_step
from oarpipe.config.orders import FollowConfig, GreedyConfig, NearConfig, PerStepConfig, PolicyConfig
from oarpipe.decoding.protocol import Emission, Policy, View

Score = Callable[[Float[Tensor, "B M V"], Int[Tensor, "B M"]], Float[Tensor, "B M"]]


def max_prob(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Probability of the likeliest code (the paper's confidence)."""
    return (logits - logits.amax(-1, keepdim=True)).exp_().sum(-1).reciprocal()


def margin(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Probability of the likeliest code less that of the second."""
    top = (logits.topk(2, dim=-1).values - logits.logsumexp(-1, keepdim=True)).exp()
    return top[..., 0] - top[..., 1]


def entropy(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Negative entropy in nats: high where the model is sure."""
    log_prob = logits.log_softmax(-1)
    return (log_prob.exp() * log_prob).sum(-1)


class Truth:
    """Probability of the true code; it leaks the target, so its NLL is no likelihood."""

    def __init__(self, tokens: Int[Tensor, "B N"]) -> None:
        self.tokens = tokens

    def __call__(
        self, logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        truth = self.tokens.gather(1, candidates)
        return logits.log_softmax(-1).gather(2, truth[..., None])[..., 0].exp()


SCORES: dict[str, Score] = {"max_prob": max_prob, "margin": margin, "entropy": entropy}


class Follow:
    """The places of a given order, one or several a step."""

    def __init__(
        self, order: Int[Tensor, "B N"], per_step: PerStepConfig | None = None, score: Score = max_prob
    ) -> None:
        self.order, self.score = order, score
        self.counts = _counts(per_step or PerStepConfig(), order.shape[1])

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Only the places that come next."""
        return self.order[:, view.filled : view.filled + self.counts[view.filled]]

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """All of them."""
        columns = torch.arange(candidates.shape[1], device=candidates.device).expand_as(candidates)
        return columns, _scores(self.score, emission, candidates)


class Greedy:
    """The open places with the highest scores (paper §4.3), one or several a step."""

    def __init__(self, score: Score, per_step: PerStepConfig, positions: int) -> None:
        self.score = score
        self.counts = _counts(per_step, positions)

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Every open place."""
        return view.open

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The best by score, best first."""
        return _best(_scores(self.score, emission, candidates), self.counts[view.filled])


class Near:
    """Greedy with a price on distance: argmax of score - strength x distance to the last place (Eq. 6)."""

    def __init__(self, score: Score, config: NearConfig, grid: Grid) -> None:
        self.score = score
        self.price = config.strength / (grid.diagonal if config.unit == "diagonal" else 1.0)

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Every open place."""
        return view.open

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The best priced place; the score returned is the unpriced one."""
        score = _scores(self.score, emission, candidates)
        if view.last is None:
            return _best(score, 1)
        distance = view.grid.distance(candidates, view.last[:, None].expand_as(candidates))
        columns, _ = _best(score - self.price * distance.to(score.dtype), 1)
        return columns, score.gather(1, columns)


def build_policy(
    config: PolicyConfig,
    grid: Grid,
    *,
    order: Int[Tensor, "B N"] | None = None,
    truth: Int[Tensor, "B N"] | None = None,
) -> Policy:
    """The policy a recipe asks for; `order` serves `follow`, `truth` the score of that name."""
    if isinstance(config, FollowConfig):
        assert order is not None
        return Follow(order, config.per_step)
    score = SCORES.get(config.score)
    if score is None:
        assert truth is not None
        score = Truth(truth)
    if isinstance(config, GreedyConfig):
        return Greedy(score, config.per_step, grid.positions)
    return Near(score, config, grid)


def _scores(score: Score, emission: Emission, candidates: Tensor) -> Tensor:
    """The scores of all candidates."""
    return torch.cat([score(logits, candidates[:, part]) for part, logits in emission.chunks()], dim=1)


def _counts(per_step: PerStepConfig, positions: int) -> dict[int, int]:
    """How many places to fill when so many are filled."""
    counts, filled = {}, 0
    for count in places_per_step(per_step, positions):
        counts[filled] = count
        filled += count
    return counts


def _best(score: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Columns and values of the highest scores; equal ones by column, which is by position."""
    if count == 1:
        values, columns = score.max(dim=1, keepdim=True)
        return columns, values
    ranked = score.sort(dim=1, descending=True, stable=True)
    return ranked.indices[:, :count], ranked.values[:, :count]
