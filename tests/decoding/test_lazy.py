"""The lazy policy: what it asks about, what it learns, and that asking everywhere makes it greedy."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.config.orders import IN_GIVEN_ORDER, GreedyConfig, LazyConfig, OrdersConfig, PerStepConfig
from oarpipe.decoding.emissions import Categorical
from oarpipe.decoding.flops import asked, extraction_cost, walk_cost
from oarpipe.decoding.lazy import Lazy
from oarpipe.decoding.protocol import View
from oarpipe.decoding.scores import max_prob
from oarpipe.decoding.walks import extract_orders
from oarpipe.models.flops import ModelSize
from oarpipe.models.position_tokens import PositionTokens

GRID = Grid(4, 4)
LABELS = torch.tensor([0, 3, 4])
TOKENS = torch.randint(0, 11, (3, 16), generator=torch.Generator().manual_seed(9))


def lazy(**options: object) -> LazyConfig:
    return LazyConfig.model_validate({"select": "lazy", **options})


@pytest.mark.parametrize("per_step", [PerStepConfig(), PerStepConfig(kind="cosine", steps=5)])
def test_who_asks_about_every_place_is_greedy(
    tiny_model: Callable[..., PositionTokens], per_step: PerStepConfig
) -> None:
    model = tiny_model(grid=GRID).double()
    everywhere = extract_orders(model, TOKENS, LABELS, lazy(share=1.0, per_step=per_step))
    greedy = extract_orders(model, TOKENS, LABELS, GreedyConfig(select="greedy", per_step=per_step))
    assert torch.equal(everywhere.order, greedy.order)
    assert torch.equal(everywhere.score, greedy.score)


def test_a_sample_is_walked_alike_alone_and_in_a_batch(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model(grid=GRID).double()
    together = extract_orders(model, TOKENS, LABELS, lazy(least=1))
    for b in range(3):
        alone = extract_orders(model, TOKENS[b : b + 1], LABELS[b : b + 1], lazy(least=1))
        assert torch.equal(alone.order[0], together.order[b])


def view(open_places: Tensor, filled: int) -> View:
    return View(GRID, open_places, None, filled, lambda: None)


def confident(probabilities: Tensor) -> Categorical:
    """Answers over two codes whose likeliest has these probabilities `[B, M]`, all above 1/2."""
    return Categorical(torch.stack([probabilities, 1 - probabilities], dim=-1).log())


class Plain:
    """The rule by hand: one sample, a dictionary a quantity, one place a step."""

    def __init__(self, config: LazyConfig, first: dict[int, float]) -> None:
        self.config, self.kept, self.wear = config, dict(first), dict.fromkeys(first, 0.0)
        mean = sum(first.values()) / len(first)
        spread = (sum((s - mean) ** 2 for s in first.values()) / len(first)) ** 0.5
        self.moved, self.worn = 2 * spread, 4.0

    def commit(self, place: int) -> None:
        del self.kept[place], self.wear[place]
        for other in self.wear:
            rows, columns = abs(other // 4 - place // 4), abs(other % 4 - place % 4)
            self.wear[other] += (rows**2 + columns**2) ** -1.5

    def asks(self) -> list[int]:
        rate = self.config.caution * self.moved / self.worn
        number = self.config.least + round(self.config.share * len(self.kept))
        ranked = sorted(self.kept, key=lambda p: (-(self.kept[p] + rate * self.wear[p]), p))
        return sorted(ranked[:number])

    def hears(self, scores: dict[int, float]) -> None:
        self.moved += sum(abs(score - self.kept[p]) for p, score in scores.items())
        self.worn += sum(self.wear[p] for p in scores)
        self.kept.update(scores)
        self.wear.update(dict.fromkeys(scores, 0.0))


def drawn() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(5)
    while True:
        yield 0.5 + torch.rand(1, 16, generator=generator, dtype=torch.float64) / 2.01


@pytest.mark.parametrize("caution", [0.0, 1.0, 3.0])
def test_it_asks_where_the_rule_by_hand_asks(caution: float) -> None:
    config = lazy(least=2, share=0.15, caution=caution)
    policy, answers = Lazy(max_prob, config, GRID), drawn()
    every = list(range(16))
    scores = next(answers)
    candidates = policy.candidates(view(torch.tensor([every]), 0))
    assert candidates.tolist() == [every]
    columns, _ = policy.choose(view(candidates, 0), candidates, confident(scores))
    plain = Plain(config, dict(enumerate(scores[0].tolist())))
    taken = [int(columns)]
    plain.commit(taken[0])
    while len(taken) < 16:
        seen = view(torch.tensor([sorted(plain.kept)]), len(taken))
        candidates = policy.candidates(seen)
        assert candidates[0].tolist() == plain.asks()
        scores = next(answers).gather(1, candidates)
        columns, score = policy.choose(seen, candidates, confident(scores))
        plain.hears(dict(zip(candidates[0].tolist(), scores[0].tolist(), strict=True)))
        taken.append(int(candidates[0, int(columns)]))
        assert float(score) == pytest.approx(float(scores.max()))
        plain.commit(taken[-1])


@pytest.mark.parametrize(
    "config",
    [
        lazy(),
        lazy(least=1, share=0.0),
        lazy(least=5, share=0.5),
        lazy(least=1, share=0.0, per_step=PerStepConfig(kind="cosine", steps=5)),
    ],
)
def test_the_arithmetic_counts_what_is_asked(
    tiny_model: Callable[..., PositionTokens], config: LazyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, numbers = tiny_model(grid=GRID).double(), []
    candidates = Lazy.candidates

    def counted(self: Lazy, view: View) -> Tensor:
        found = candidates(self, view)
        numbers.append(found.shape[1])
        return found

    monkeypatch.setattr(Lazy, "candidates", counted)
    extract_orders(model, TOKENS, LABELS, config)
    assert numbers == list(asked(ModelSize.of(model), config))


def test_fewer_places_cost_less(tiny_model: Callable[..., PositionTokens]) -> None:
    size = ModelSize.of(tiny_model(grid=GRID))
    costs = [walk_cost(size, lazy(share=share)) for share in (1.0, 0.5, 0.2, 0.0)]
    assert costs[0] == walk_cost(size, GreedyConfig(select="greedy"))
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(("views", "mirrored"), [(1, 0), (2, 1), (10, 4)])
def test_a_mirrored_view_costs_a_walk_in_a_given_order(
    tiny_model: Callable[..., PositionTokens], views: int, mirrored: int
) -> None:
    size = ModelSize.of(tiny_model(grid=GRID))
    entry = OrdersConfig(model="m", tokens="t", policy=lazy())
    assert extraction_cost(size, entry, views) == views * walk_cost(size, lazy())
    cheaper = extraction_cost(size, entry.model_copy(update={"mirror": True}), views)
    given = mirrored * walk_cost(size, IN_GIVEN_ORDER)
    assert cheaper == (views - mirrored) * walk_cost(size, lazy()) + given
