"""Intervals and differences against closed forms and by hand."""

import math

import numpy as np
import pytest

from oarpipe.reports.intervals import (
    Interval,
    Value,
    difference,
    over_seeds,
    resampled,
    resampled_means,
    spread,
)


def test_a_bootstrap_interval_is_moved_to_its_estimate() -> None:
    replicates = np.linspace(10, 20, 101)  # mean 15; 2.5 % and 97.5 % at 10.25 and 19.75
    interval = resampled(6.0, tuple(replicates))
    assert interval is not None
    assert interval.low == pytest.approx(6 - 4.75)
    assert interval.high == pytest.approx(6 + 4.75)


def test_no_replicates_give_no_interval() -> None:
    assert resampled(1.0, ()) is None


def test_the_interval_over_three_seeds_is_students() -> None:
    interval = over_seeds([1.0, 2.0, 3.0])
    assert interval is not None
    half = 4.302652729911275 / math.sqrt(3)  # t for 2 degrees of freedom; the deviation is 1
    assert interval.low == pytest.approx(2 - half)
    assert interval.high == pytest.approx(2 + half)


def test_two_seeds_have_no_interval_over_seeds() -> None:
    assert over_seeds([1.0, 2.0]) is None


def test_what_moves_both_sides_alike_leaves_the_difference_sharp() -> None:
    common = np.random.default_rng(0).normal(0, 5, 200)
    left = {0: Value(3.0, tuple(3 + common + 0.01 * np.arange(200) / 200))}
    right = {0: Value(4.0, tuple(4 + common))}
    found = difference(left, right)
    assert found is not None
    assert found.mean == -1.0
    assert found.over_images is not None
    assert found.over_images.high - found.over_images.low < 0.02


def test_only_seeds_that_both_sides_have_are_compared() -> None:
    found = difference({0: Value(1.0), 1: Value(2.0)}, {1: Value(5.0), 2: Value(0.0)})
    assert found is not None
    assert dict(found.by_seed) == {1: -3.0}
    assert difference({0: Value(1.0)}, {1: Value(1.0)}) is None


def test_with_three_seeds_the_interval_over_seeds_decides() -> None:
    sides = (
        {s: Value(float(v), (0.0, 1.0)) for s, v in enumerate(values)} for values in ([1, 2, 6], [0, 0, 0])
    )
    found = difference(*sides)
    assert found is not None
    assert found.interval == found.over_seeds
    assert found.over_images is not None


def test_sets_of_different_counts_are_not_paired() -> None:
    """Four equally likely differences: 1 - 10, 1 - 30, 2 - 10, 2 - 30."""
    left, right = Value(0.0, (1.0, 2.0), count=50), Value(0.0, (10.0, 30.0), count=40)
    found = difference({0: left}, {0: right})
    assert found is not None
    assert found.over_images is not None
    every = np.array([-9.0, -29.0, -8.0, -28.0])
    low, high = np.quantile(every, [0.025, 0.975]) - every.mean()
    assert (found.over_images.low, found.over_images.high) == pytest.approx((low, high))


def test_of_more_replicates_those_that_both_have_are_paired() -> None:
    found = difference({0: Value(1.0, (1.0, 2.0))}, {0: Value(1.5, (1.5, 2.5, 9.0))})
    assert found is not None
    assert found.over_images == Interval(-0.5, -0.5)


def test_replicates_of_one_side_alone_give_no_interval() -> None:
    found = difference({0: Value(1.0, (1.0, 2.0))}, {0: Value(1.0)})
    assert found is not None
    assert found.interval is None


def test_the_spread_is_the_standard_deviation_of_seeds_or_the_interval_of_one() -> None:
    mean, deviation, interval = spread({0: Value(1.0), 1: Value(3.0)})
    assert (mean, interval) == (2.0, None)
    assert deviation == pytest.approx(math.sqrt(2))
    mean, deviation, interval = spread({0: Value(1.0, (0.0, 2.0))})
    assert deviation is None
    assert isinstance(interval, Interval)


def test_bootstrap_means_spread_as_the_standard_error_and_share_their_rows() -> None:
    column = np.random.default_rng(1).normal(0, 2, 400)
    means = resampled_means(np.stack([column, column + 1], axis=1), 600)
    assert means[:, 0].std() == pytest.approx(column.std() / 20, rel=0.1)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1)
