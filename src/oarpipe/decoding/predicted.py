"""Greedy that asks about few places a step: those that a trained head expects to be the surest."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_by_filled, places_predicted
from oarpipe.config.orders import MonitorConfig, PredictedConfig
from oarpipe.decoding.emissions import Answers
from oarpipe.decoding.protocol import Decoder, Emission, View, Walk
from oarpipe.decoding.scores import Score, all_scores, best
from oarpipe.models.order_head import OrderHead
from oarpipe.models.token_model import TokenModel


class Foreseeing:
    """A decoder whose outlook is a head's, made of what the decoder's passes have left anyway."""

    def __init__(
        self, decoder: Decoder, head: OrderHead, model: TokenModel, labels: Int[Tensor, " B"]
    ) -> None:
        self.decoder, self.head, self.model = decoder, head, model
        self.filled = torch.zeros(len(labels), head.positions, dtype=torch.bool, device=labels.device)
        self.memory: Tensor | None = None
        self.trace = head.label(labels)[:, None]
        self.waiting: list[tuple[Tensor, Tensor, Tensor]] = []  # steps since the last outlook

    def propose(self, candidates: Int[Tensor, "B M"]) -> Emission:
        """What the decoder answers."""
        self.candidates, self.emission = candidates, self.decoder.propose(candidates)
        return self.emission

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """Keeps the rows that answered the chosen places, and their codes."""
        assert isinstance(self.emission, Answers), type(self.emission)
        columns = (self.candidates[:, None] == positions[..., None]).int().argmax(dim=2)
        self.waiting.append((self.emission.rows_at(columns), tokens, positions))
        self.filled = self.filled.scatter(1, positions, value=True)
        self.decoder.commit(positions, tokens)

    def outlook(self) -> Float[Tensor, "B N"]:
        """The head's scores of all positions; the steps since the last outlook are remembered first."""
        traces = [self.trace] if self.memory is None else []
        for answers, tokens, positions in self.waiting:
            traces.append(
                self.head.trace(answers, self.model.content(tokens), positions).mean(1, keepdim=True)
            )
        self.waiting = []
        remembered, self.memory = self.head.memory(torch.cat(traces, dim=1), self.memory)
        self.trace = traces[-1]
        return self.head.outlook(self.trace, remembered[:, -1:], self.filled[:, None])[:, 0]


class Predicted:
    """Fills the best by score of the places that were predicted best. It serves one walk.

    Where the spread of a sample's predictions leaves the monitor's bounds, that sample chooses among
    all open places, as exact greedy does; `exact_steps` counts these steps of each sample.
    """

    def __init__(self, score: Score, config: PredictedConfig, grid: Grid) -> None:
        self.score, self.config = score, config
        self.counts = places_by_filled(config.per_step, grid.positions)
        self.step = 0
        self.exact_steps: Tensor | None = None

    def candidates(self, view: View) -> Int[Tensor, "B C"]:
        """As many of the highest predictions as the recipe says; every open place where one is in doubt."""
        self.may_fill: Tensor | None = None
        if self.exact_steps is None:
            self.exact_steps = torch.zeros(len(view.open), dtype=torch.int64, device=view.open.device)
        asked = places_predicted(self.config, self.counts[view.filled], view.open.shape[1])
        if asked == view.open.shape[1]:
            return view.open
        if self.step == 0 or (self.config.every != "static" and self.step % self.config.every == 0):
            predicted = view.outlook()
            assert predicted is not None, "this decoder foresees nothing"
            self.predicted = predicted
        self.step += 1
        open_scores = self.predicted.gather(1, view.open)
        columns = best(open_scores, asked)[0].sort(dim=1).values
        doubted = is_outside(self.config.monitor, spread(open_scores))
        if not bool(doubted.any()):
            return view.open.gather(1, columns)
        self.exact_steps = self.exact_steps + doubted
        self.may_fill = doubted[:, None] | torch.zeros_like(view.open, dtype=torch.bool).scatter(
            1, columns, value=True
        )
        return view.open

    def choose(
        self, view: View, candidates: Int[Tensor, "B C"], emission: Emission
    ) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
        """The best by score of those asked, best first."""
        score = all_scores(self.score, emission, candidates)
        if self.may_fill is not None:
            score = score.masked_fill(~self.may_fill, float("-inf"))
        return best(score, self.counts[view.filled])


class ExactSteps:
    """Counts, over the walks of a run, the steps at which predictions were not trusted."""

    def __init__(self) -> None:
        self.steps = self.exact = 0

    def add(self, walks: Sequence[Walk]) -> None:
        """Counts these walks too, if places were predicted in them."""
        for walk in walks:
            if walk.exact_steps is not None:
                self.steps += walk.order.numel()
                self.exact += int(walk.exact_steps.sum())

    def facts(self) -> dict[str, int]:
        """For a run's facts: places filled by prediction, and steps at which the monitor refused it."""
        return {"predicted_places": self.steps, "exact_steps": self.exact} if self.steps else {}


def spread(scores: Float[Tensor, "*B M"]) -> Float[Tensor, "*B"]:
    """The standard deviation of a row's predictions: zero where the head has collapsed."""
    return scores.std(dim=-1, correction=0)


def is_outside(monitor: MonitorConfig, spreads: Float[Tensor, "*B"]) -> Bool[Tensor, "*B"]:
    """Where a spread is below or above the bounds, or no number."""
    return ~((spreads >= monitor.low) & (spreads <= monitor.high))
