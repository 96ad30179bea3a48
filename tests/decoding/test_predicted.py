"""Walks whose places are predicted: equal to the walk that asks the training forward, and never blind."""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.config.orders import GreedyConfig, MonitorConfig, PredictedConfig
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.flops import walk_cost
from oarpipe.decoding.policies import build_policy
from oarpipe.decoding.predicted import ExactSteps, is_outside, spread
from oarpipe.decoding.protocol import Emission
from oarpipe.decoding.reference import ReferenceDecoder
from oarpipe.decoding.reveals import Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.walks import extract_orders, sample_tokens
from oarpipe.errors import BadInput
from oarpipe.models.flops import ModelSize
from oarpipe.models.order_head import OrderHead
from oarpipe.models.position_tokens import PositionTokens
from tests.models.test_flops import counted

GRID = Grid(3, 3)
LABELS = torch.tensor([0, 3, 4])
TOKENS = torch.randint(0, 11, (3, 9), generator=torch.Generator().manual_seed(9))
FOUR_STEPS = {"kind": "cosine", "steps": 4}

WAYS: dict[str, dict[str, object]] = {
    "trusted": {},
    "two candidates": {"candidates": 2},
    "every other step": {"candidates": 2, "every": 2},
    "every third step, trusted": {"every": 3},
    "static": {"candidates": 3, "every": "static"},
    "several a step": {"candidates": 4, "per_step": FOUR_STEPS},
    "several a step, trusted": {"per_step": FOUR_STEPS, "every": 2},
}


def predicted(**options: object) -> PredictedConfig:
    return PredictedConfig.model_validate({"select": "predicted", "head": "h", **options})


@pytest.fixture
def model(tiny_model: Callable[..., PositionTokens]) -> PositionTokens:
    return tiny_model(grid=GRID).double()


@pytest.fixture
def head() -> OrderHead:
    """With large weights, so that what it sees matters."""
    made = OrderHead(positions=9, classes=5, body_width=32, width=16)
    made.initialise(0)
    with torch.no_grad():
        made.score.weight.mul_(100)
    return made.double().eval()


class SlowForesight:
    """The oracle: the training forward of body and head over the whole walk so far, at every question.

    Where several places are filled a step, they count by their mean, so it runs the memory by hand.
    """

    def __init__(self, model: PositionTokens, head: OrderHead) -> None:
        self.model, self.head = model, head
        self.decoder = ReferenceDecoder(model, LABELS)
        self.steps: list[int] = []

    def propose(self, candidates: Int[Tensor, "B M"]) -> Emission:
        self.asked_after = self.decoder.order
        return self.decoder.propose(candidates)

    def commit(self, positions: Int[Tensor, "B K"], tokens: Int[Tensor, "B K"]) -> None:
        """The rows that answered: each place asked about alone, after what was filled before the step."""
        self.rows = [*getattr(self, "rows", []), self._rows(positions)]
        self.decoder.commit(positions, tokens)
        self.steps.append(positions.shape[1])

    def _rows(self, positions: Tensor) -> Tensor:
        history = self.decoder.order
        alone = [
            self.model.answers(self.decoder.tokens, torch.cat([history, place], dim=1), LABELS)[:, -1]
            for place in positions.split(1, dim=1)
        ]
        return torch.stack(alone, dim=1)

    def outlook(self) -> Float[Tensor, "B N"]:
        traces = [self.head.label(LABELS)[:, None]]
        done = 0
        for rows, count in zip(getattr(self, "rows", []), self.steps, strict=True):
            places = self.decoder.order[:, done : done + count]
            content = self.model.content(self.decoder.tokens.gather(1, places))
            traces.append(self.head.trace(rows, content, places).mean(dim=1, keepdim=True))
            done += count
        remembered = self.head.memory(torch.cat(traces, dim=1))[0][:, -1:]
        filled = torch.zeros(len(LABELS), 1, 9, dtype=torch.bool)
        filled.scatter_(2, self.decoder.order[:, None], value=True)
        return self.head.outlook(traces[-1], remembered, filled)[:, 0]


@pytest.mark.parametrize("way", WAYS)
def test_a_predicted_walk_equals_the_one_that_asks_the_training_forward(
    model: PositionTokens, head: OrderHead, way: str
) -> None:
    config = predicted(**WAYS[way])
    fast = extract_orders(model, TOKENS, LABELS, config, head=head)
    slow = rollout(
        SlowForesight(model, head), build_policy(config, GRID), Teacher(TOKENS), GRID, 3, torch.device("cpu")
    )
    assert torch.equal(fast.order, slow.order)
    assert (fast.score - slow.score).abs().max() < 1e-10
    assert (fast.log_prob - slow.log_prob).abs().max() < 1e-10


def test_a_trusted_walk_is_the_one_that_the_heads_own_forward_draws(
    model: PositionTokens, head: OrderHead
) -> None:
    order = extract_orders(model, TOKENS, LABELS, predicted(), head=head).order.clone()
    answers = model.answers(TOKENS, order, LABELS)
    scores = head(answers, model.content(TOKENS.gather(1, order)), order, LABELS)
    for step in range(9):
        open_places = order[:, step:]
        found = open_places.gather(1, scores[:, step].gather(1, open_places).argmax(dim=1, keepdim=True))
        assert torch.equal(found[:, 0], order[:, step])


def test_as_many_candidates_as_places_are_exact_greedy(model: PositionTokens, head: OrderHead) -> None:
    for per_step in ({"kind": "one"}, FOUR_STEPS):
        exact = GreedyConfig.model_validate({"select": "greedy", "per_step": per_step})
        every = predicted(candidates=9, per_step=per_step)
        expected = extract_orders(model, TOKENS, LABELS, exact)
        found = extract_orders(model, TOKENS, LABELS, every, head=head)
        assert torch.equal(found.order, expected.order)
        assert found.exact_steps is not None
        assert found.exact_steps.sum() == 0


def test_a_head_in_doubt_leaves_the_step_to_exact_greedy_and_is_counted(
    model: PositionTokens, head: OrderHead
) -> None:
    for monitor in ({"low": 1e6, "high": 1e7}, {"low": 0.0, "high": 1e-6}):
        found = extract_orders(model, TOKENS, LABELS, predicted(monitor=monitor), head=head)
        assert torch.equal(found.order, extract_orders(model, TOKENS, LABELS).order)
        assert found.exact_steps is not None
        assert found.exact_steps.tolist() == [8, 8, 8]  # the last place needs no prediction
        counted = ExactSteps()
        counted.add([found, found])
        assert counted.facts() == {"predicted_places": 54, "exact_steps": 48}


def test_one_sample_in_doubt_does_not_change_the_others(model: PositionTokens, head: OrderHead) -> None:
    label = head.label(LABELS)[:, None]
    nothing = torch.zeros(3, 1, 9, dtype=torch.bool)
    first = spread(head.outlook(label, head.memory(label)[0], nothing)[:, 0])
    low, second, _ = first.sort().values.tolist()
    config = predicted(monitor={"low": (low + second) / 2, "high": 1e9})
    together = extract_orders(model, TOKENS, LABELS, config, head=head)
    assert together.exact_steps is not None
    assert together.exact_steps[first.argmin()] >= 1
    for b in range(3):
        alone = extract_orders(model, TOKENS[b : b + 1], LABELS[b : b + 1], config, head=head)
        assert torch.equal(alone.order[0], together.order[b])
        assert alone.exact_steps is not None
        assert alone.exact_steps[0] == together.exact_steps[b]


def test_no_number_is_in_doubt_too() -> None:
    monitor = MonitorConfig(low=0.5, high=2.0)
    found = is_outside(monitor, torch.tensor([0.1, 1.0, 3.0, float("nan"), float("inf")]))
    assert found.tolist() == [True, False, True, True, True]


def test_a_prediction_is_made_of_the_conditional_branch(model: PositionTokens, head: OrderHead) -> None:
    def drawn(scale: float, places: str = "conditional") -> Tensor:
        config = SamplesConfig(
            model="m",
            count=3,
            policy=predicted(),
            top_k=1,
            guidance=GuidanceConfig.model_validate({"scale": scale, "places": places}),
        )
        return sample_tokens(model, LABELS, config, samples=torch.arange(3), seed=0, head=head).order

    assert torch.equal(drawn(2.0), drawn(2.0, "guided"))  # the only place asked about is the only choice
    assert torch.equal(drawn(2.0)[:, 0], drawn(1.0)[:, 0])


@pytest.mark.parametrize("way", WAYS)
def test_a_predicted_walk_asks_for_what_the_counter_sees(
    model: PositionTokens, head: OrderHead, way: str
) -> None:
    config = predicted(**WAYS[way])
    found = counted(lambda: extract_orders(model, TOKENS[:1], LABELS[:1], config, head=head))
    assert found == walk_cost(ModelSize.of(model), config, head=head.width)


def test_a_walk_without_its_head_or_with_one_of_another_size_is_refused(model: PositionTokens) -> None:
    other = OrderHead(positions=4, classes=5, body_width=32, width=16)
    for given in (None, other):
        with pytest.raises(BadInput, match="of a model of 9 positions and width 32"):
            extract_orders(model, TOKENS, LABELS, predicted(), head=given)
