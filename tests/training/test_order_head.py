"""What a head minimises, by hand; what is held out; and the monitor that stops a useless one."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.data.token_store import TokenSet
from oarpipe.training.order_head import held_apart, mean_spread, ranking_loss

ORDER = torch.tensor([[2, 0, 1]])
SCORES = torch.tensor([[[0.3, -1.0, 2.0], [0.5, 0.1, 9.0], [7.0, 0.0, 9.0]]], dtype=torch.float64)


def drawn(scores: list[float], order: list[int]) -> float:
    """The probability that positions are drawn in this order, each by the softmax over what remains."""
    probability = 1.0
    for i, place in enumerate(order):
        probability *= math.exp(scores[place]) / sum(math.exp(scores[left]) for left in order[i:])
    return probability


def test_the_loss_without_patience_is_the_surprise_at_the_next_place() -> None:
    found = ranking_loss(SCORES, ORDER, 0.0)[0]
    for step in range(3):
        left = ORDER[0, step:].tolist()
        scores = SCORES[0, step].tolist()
        share = math.exp(scores[left[0]]) / sum(math.exp(scores[place]) for place in left)
        assert float(found[step]) == pytest.approx(-math.log(share))


def test_with_all_patience_it_is_the_surprise_at_the_whole_rest_a_place() -> None:
    scores, order = SCORES[0, 0].tolist(), ORDER[0].tolist()
    assert sum(drawn(scores, list(p)) for p in permutations(range(3))) == pytest.approx(1)
    assert float(ranking_loss(SCORES, ORDER, 1.0)[0, 0]) == pytest.approx(-math.log(drawn(scores, order)) / 3)


def test_a_place_counts_less_the_longer_it_must_wait() -> None:
    first, second = (-math.log(drawn(SCORES[0, 1].tolist(), [0, 1])), 0.0)
    assert float(ranking_loss(SCORES, ORDER, 0.5)[0, 1]) == pytest.approx((1.0 * first + 0.5 * second) / 1.5)


def test_the_spread_is_that_of_open_places_where_there_is_a_choice() -> None:
    first = np.std([0.3, -1.0, 2.0])
    second = np.std([0.5, 0.1])
    assert mean_spread(SCORES, ORDER) == pytest.approx((first + second) / 2)


@pytest.fixture
def images() -> TokenSet:
    return TokenSet(
        tokens=np.arange(20, dtype=np.int32)[:, None, None].repeat(4, axis=2),
        labels=np.zeros(20, np.int32),
        sample_ids=np.arange(20, dtype=np.int64),
        splits=np.zeros(20, np.uint8),
        grid=Grid(2, 2),
        codebook=20,
        classes=["one"],
        views=["original"],
    )


def test_every_image_trains_or_is_held_out_by_the_share(images: TokenSet) -> None:
    train, held_out = held_apart(images, 0.1)
    assert held_out.sample_ids.tolist() == [9, 19]
    assert sorted([*train.sample_ids, *held_out.sample_ids]) == list(range(20))
    assert (train.tokens[:, 0, 0] == train.sample_ids).all()


def test_there_is_always_one_image_to_judge_by(images: TokenSet) -> None:
    few = replace(images, **{k: getattr(images, k)[:3] for k in ("tokens", "labels", "sample_ids", "splits")})
    assert held_apart(few, 0.1)[1].sample_ids.tolist() == [2]
