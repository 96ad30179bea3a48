"""Draws: filters against loops, frequencies against the distribution, noise keyed by sample and position."""

import math

import pytest
import torch

from oarpipe.config.orders import FollowConfig, RandomConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.decoding.reveals import Sampler, _filtered

P = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)


def settings(**changes: object) -> SamplesConfig:
    policy = FollowConfig(select="follow", order=RandomConfig())
    return SamplesConfig.model_validate({"model": "m", "count": 3, "policy": policy, **changes})


@pytest.mark.parametrize("draw", ["inverse", "gumbel"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_distribution(draw: str, temperature: float) -> None:
    count = 20_000
    sampler = Sampler(settings(draw=draw, temperature=temperature), torch.arange(count), 3, 1)
    drawn = sampler(torch.zeros(count, 1).long(), P.log().expand(count, 1, 4))
    found = torch.bincount(drawn.flatten(), minlength=4) / count
    expected = P ** (1 / temperature) / (P ** (1 / temperature)).sum()
    assert (found - expected).abs().max() < 4 * math.sqrt(0.25 / count)


@pytest.mark.parametrize("draw", ["inverse", "gumbel"])
def test_a_draw_depends_on_sample_and_position_alone(draw: str) -> None:
    logits = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(0))
    positions = torch.tensor([[4, 0, 7], [1, 2, 3]])
    drawn = Sampler(settings(draw=draw), torch.tensor([5, 6]), 1, 9)(positions, logits)
    alone = Sampler(settings(draw=draw), torch.tensor([6]), 1, 9)(positions[1:, 1:2], logits[1:, 1:2])
    assert drawn[1, 1] == alone[0, 0]


def test_top_k_keeps_the_k_likeliest() -> None:
    assert _filtered(P.log().view(1, 1, 4), 2, 1.0).isfinite().tolist() == [[[True, True, False, False]]]


@pytest.mark.parametrize(("mass", "kept"), [(0.05, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (0.95, 4)])
def test_top_p_keeps_the_first_code_that_crosses_the_mass(mass: float, kept: int) -> None:
    assert int(_filtered(P.log().view(1, 1, 4), None, mass).isfinite().sum()) == kept


def test_a_code_without_probability_is_never_drawn() -> None:
    logits = torch.tensor([0.0, float("-inf"), 0.0, float("-inf")]).expand(5000, 1, 4)
    drawn = Sampler(settings(), torch.arange(5000), 0, 1)(torch.zeros(5000, 1).long(), logits)
    assert set(drawn.flatten().tolist()) == {0, 2}
