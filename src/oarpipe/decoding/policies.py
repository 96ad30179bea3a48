"""Where next: follow an order, or go where a score is highest, near the last place or not."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_by_filled
from oarpipe.config.orders import (
    FollowConfig,
    GreedyConfig,
    LazyConfig,
    NearConfig,
    PerStepConfig,
    PolicyConfig,
    PredictedConfig,
)
from oarpipe.decoding.lazy import Lazy
from oarpipe.decoding.predicted import Predicted
from oarpipe.decoding.protocol import Emission, Policy, View
from oarpipe.decoding.scores import SCORES, Score, Truth, all_scores, at, best, max_prob


class Follow:
    """The places of a given order, one or several a step."""

    def __init__(
        self, order: Int[Tensor, "B N"], per_step: PerStepConfig | None = None, score: Score = max_prob
    ) -> None:
        self.order, self.score = order, score
        self.counts = places_by_filled(per_step or PerStepConfig(), order.shape[1])

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Only the places that come next."""
        return self.order[:, view.filled : view.filled + self.counts[view.filled]]

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """All of them."""
        columns = torch.arange(candidates.shape[1], device=candidates.device).expand_as(candidates)
        return columns, all_scores(self.score, emission, candidates)


class Greedy:
    """The open places with the highest scores (paper §4.3), one or several a step."""

    def __init__(self, score: Score, per_step: PerStepConfig, positions: int) -> None:
        self.score = score
        self.counts = places_by_filled(per_step, positions)

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """Every open place."""
        return view.open

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The best by score, best first."""
        return best(all_scores(self.score, emission, candidates), self.counts[view.filled])


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
        score = all_scores(self.score, emission, candidates)
        if view.last is None:
            return best(score, 1)
        distance = view.grid.distance(candidates, view.last[:, None].expand_as(candidates))
        columns, _ = best(score - self.price * distance.to(score.dtype), 1)
        return columns, score.gather(1, columns)


def build_policy(
    config: PolicyConfig,
    grid: Grid,
    *,
    order: Int[Tensor, "B N"] | None = None,
    truth: Int[Tensor, "B N"] | None = None,
    temperature: float = 1.0,
) -> Policy:
    """The policy a recipe asks for; `order` serves `follow`, `truth` the score of that name.

    Places are scored at `temperature`.
    """
    if isinstance(config, FollowConfig):
        assert order is not None
        return Follow(order, config.per_step, at(temperature, max_prob))
    score = SCORES.get(config.score)
    if score is None:
        assert truth is not None
        score = Truth(truth)
    score = at(temperature, score)
    if isinstance(config, GreedyConfig):
        return Greedy(score, config.per_step, grid.positions)
    if isinstance(config, LazyConfig):
        return Lazy(score, config, grid)
    if isinstance(config, PredictedConfig):
        return Predicted(score, config, grid)
    return Near(score, config, grid)
