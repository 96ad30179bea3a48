"""Rates of preference, their intervals, and what a design can find: against formulas and simulations."""

import numpy as np
import pytest
from jaxtyping import Bool
from scipy import stats

from oarpipe.metrics.preference import (
    clustered_rate,
    findable,
    independent_rate,
    rate_of_these_pairs,
    sign_test,
)


def answers(
    rng: np.random.Generator, *, people: int, pairs: int, rate: float, spread: float, between: float
) -> Bool[np.ndarray, "P K"]:
    """Choices whose pairs' rates have a Beta distribution and whose participants lean either way."""
    concentration = rate * (1 - rate) / spread**2 - 1
    of_pairs = rng.beta(rate * concentration, (1 - rate) * concentration, pairs)
    lean = rng.choice([-between, between], people)
    return rng.random((people, pairs)) < of_pairs[None] + lean[:, None]


def test_one_pairs_interval_is_clopper_and_pearsons() -> None:
    rate = independent_rate(34, 51)
    assert rate.value == 34 / 51
    assert rate.interval is not None
    low, high = rate.interval
    assert stats.binom.sf(33, 51, low) == pytest.approx(0.025)
    assert stats.binom.cdf(34, 51, high) == pytest.approx(0.025)


def test_all_or_nothing_has_an_interval_for_one_pair() -> None:
    assert independent_rate(10, 10).interval == (pytest.approx(0.025**0.1), 1.0)


def test_the_sign_test_counts_both_tails_and_no_ties() -> None:
    tail = sum(stats.binom.pmf(k, 21, 0.5) for k in range(16, 22))
    assert sign_test(16, 5) == pytest.approx(2 * tail)
    assert sign_test(0, 0) == 1.0


def test_the_interval_is_as_wide_as_the_spread_of_pairs_makes_it() -> None:
    choices = answers(np.random.default_rng(0), people=200, pairs=40, rate=0.6, spread=0.2, between=0.0)
    rate = clustered_rate(choices, replicates=4000, seed=0)
    assert rate.interval is not None
    half = (rate.interval[1] - rate.interval[0]) / 2
    assert half == pytest.approx(1.96 * choices.mean(axis=0).std() / 40**0.5, rel=0.06)


def test_the_interval_is_as_wide_as_the_spread_of_participants_makes_it() -> None:
    choices = answers(np.random.default_rng(1), people=40, pairs=200, rate=0.5, spread=0.01, between=0.3)
    rate = clustered_rate(choices, replicates=4000, seed=0)
    assert rate.interval is not None
    half = (rate.interval[1] - rate.interval[0]) / 2
    assert half == pytest.approx(1.96 * choices.mean(axis=1).std() / 40**0.5, rel=0.06)


def test_where_the_pairs_are_given_their_spread_widens_nothing() -> None:
    choices = answers(np.random.default_rng(5), people=60, pairs=4, rate=0.5, spread=0.4, between=0.05)
    rate = rate_of_these_pairs(choices, replicates=4000, seed=0)
    assert rate.interval is not None
    half = (rate.interval[1] - rate.interval[0]) / 2
    assert half == pytest.approx(1.96 * choices.mean(axis=1).std() / 60**0.5, rel=0.06)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    choices = answers(np.random.default_rng(2), people=12, pairs=8, rate=0.6, spread=0.2, between=0.1)
    first, again, other = (clustered_rate(choices, replicates=300, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("shape", [(4, 20), (20, 4)])
def test_few_participants_or_pairs_have_no_interval(shape: tuple[int, int]) -> None:
    choices = np.random.default_rng(0).random(shape) < 0.5
    assert clustered_rate(choices, replicates=100, seed=0).interval is None


def test_answers_that_all_agree_have_no_interval() -> None:
    rate = clustered_rate(np.ones((20, 20), bool), replicates=100, seed=0)
    assert (rate.value, rate.interval) == (1.0, None)


@pytest.mark.parametrize(("people", "pairs"), [(30, 20), (12, 40)])
def test_what_a_design_is_said_to_find_it_finds_in_four_of_five_studies(people: int, pairs: int) -> None:
    rate = findable(people, pairs, spread=0.2, between=0.1)
    assert rate is not None
    rng = np.random.default_rng(3)
    found = 0
    for seed in range(200):
        choices = answers(rng, people=people, pairs=pairs, rate=rate, spread=0.2, between=0.1)
        interval = clustered_rate(choices, replicates=300, seed=seed).interval
        found += interval is not None and not interval[0] <= 0.5 <= interval[1]
    assert 0.7 <= found / 200 <= 0.9  # 0.8, give or take three standard errors and the approximation


def test_without_any_difference_few_studies_find_one() -> None:
    rng = np.random.default_rng(4)
    found = 0
    for seed in range(200):
        choices = answers(rng, people=30, pairs=20, rate=0.5, spread=0.2, between=0.1)
        interval = clustered_rate(choices, replicates=300, seed=seed).interval
        found += interval is not None and not interval[0] <= 0.5 <= interval[1]
    assert found / 200 <= 0.1


def test_more_pairs_find_more_than_as_many_more_participants() -> None:
    here, people, pairs = findable(30, 20), findable(60, 20), findable(30, 40)
    assert here is not None
    assert people is not None
    assert pairs is not None
    assert pairs < people < here


def test_a_design_that_can_find_nothing_says_so() -> None:
    assert findable(5, 5, spread=0.5) is None
    assert findable(4, 1000) is None
