"""Policies on hand-made answers, where the right place is known."""

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.orders import NearConfig, PerStepConfig
from oarpipe.decoding.emissions import Categorical
from oarpipe.decoding.policies import Greedy, Near
from oarpipe.decoding.protocol import View
from oarpipe.decoding.scores import Truth, doubt, entropy, margin, max_prob

GRID = Grid(2, 3)


def view(open_positions: list[int], last: int | None = None) -> View:
    at = None if last is None else torch.tensor([last])
    return View(GRID, torch.tensor([open_positions]), at, 6 - len(open_positions), lambda: None)


def answers(probabilities: list[list[float]]) -> Categorical:
    return Categorical(torch.tensor([probabilities], dtype=torch.float64).log())


def test_greedy_picks_the_most_confident_open_position() -> None:
    asked = torch.tensor([[0, 2, 5]])
    columns, score = Greedy(max_prob, PerStepConfig(), 6).choose(
        view([0, 2, 5]), asked, answers([[0.5, 0.5], [0.1, 0.9], [0.4, 0.6]])
    )
    assert asked[0, columns[0, 0]] == 2
    assert float(score) == pytest.approx(0.9)


def test_ties_go_to_the_lowest_position() -> None:
    asked = torch.tensor([[1, 3, 4]])
    flat = answers([[0.5, 0.5]] * 3)
    assert Greedy(max_prob, PerStepConfig(), 6).choose(view([1, 3, 4]), asked, flat)[0].tolist() == [[0]]
    several = Greedy(max_prob, PerStepConfig(kind="cosine", steps=2), 6)
    columns, _ = several.choose(
        View(GRID, torch.arange(6)[None], None, 1, lambda: None),
        torch.arange(1, 6)[None],
        answers([[0.5, 0.5]] * 5),
    )
    assert columns.tolist() == [[0, 1, 2, 3, 4]]


def test_distance_makes_greedy_stay_near() -> None:
    asked, given = torch.tensor([[1, 5]]), answers([[0.3, 0.7], [0.2, 0.8]])
    for strength, expected in ((0.0, 5), (0.2, 1)):
        config = NearConfig(select="near", strength=strength, unit="cells")
        columns, score = Near(max_prob, config, GRID).choose(view([1, 5], last=0), asked, given)
        assert asked[0, columns[0, 0]] == expected
        assert float(score) == pytest.approx({5: 0.8, 1: 0.7}[expected])


def test_the_scores_are_what_their_names_say() -> None:
    logits = torch.tensor([[[0.7, 0.2, 0.1]]], dtype=torch.float64).log()
    asked = torch.tensor([[0]])
    p = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    assert float(max_prob(logits, asked)) == pytest.approx(0.7)
    assert float(margin(logits, asked)) == pytest.approx(0.5)
    assert float(entropy(logits, asked)) == pytest.approx(float((p * p.log()).sum()))
    assert float(doubt(logits, asked)) == pytest.approx(0.3)
    assert float(Truth(torch.tensor([[1, 0, 0, 0, 0, 0]]))(logits, asked)) == pytest.approx(0.2)
