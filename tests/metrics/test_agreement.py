"""Agreement of orders: closed forms, and every pair counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from oarpipe.metrics.agreement import agreement, class_tau, kendall_tau, within_and_between


def orders(rows: int, positions: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(positions, dtype=np.uint16), (rows, 1)), axis=1)


def scores(rows: int, positions: int) -> np.ndarray:
    return np.random.default_rng(1).random((rows, positions), np.float32)


@settings(max_examples=30)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_tau_counts_the_pairs_that_stand_the_other_way_round(positions: int, seed: int) -> None:
    first, second = orders(2, positions, seed), orders(2, positions, seed + 1)
    steps, others = np.argsort(first, axis=1), np.argsort(second, axis=1)
    expected = [
        np.mean(
            [
                np.sign(int(a[i]) - int(a[j])) * np.sign(int(b[i]) - int(b[j]))
                for i in range(positions)
                for j in range(i)
            ]
        )
        for a, b in zip(steps, others, strict=True)
    ]
    np.testing.assert_allclose(kendall_tau(first, second), expected, atol=1e-12)


def test_tau_is_scipys() -> None:
    first, second = orders(5, 144), orders(5, 144, seed=1)
    expected = [
        kendalltau(np.argsort(a), np.argsort(b)).statistic for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(kendall_tau(first, second), expected, atol=1e-12)


def test_many_rows_are_worked_on_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = orders(7, 9), orders(7, 9, seed=1)
    at_once = kendall_tau(first, second)
    monkeypatch.setattr("oarpipe.metrics.agreement._ROWS", 3)
    np.testing.assert_array_equal(kendall_tau(first, second), at_once)


def test_the_same_orders_agree_in_everything() -> None:
    one, sure = orders(4, 10), scores(4, 10)
    facts = agreement(one, one, sure, sure).facts()
    assert facts == {
        "images": 4, "tau": 1.0, "tau_error": 0.0, "step_difference": 0.0, "same_share": 1.0,
        "score_gap": 0.0, "score_ratio": 1.0,
    }  # fmt: skip


def test_a_reversed_order_has_tau_minus_one_and_the_largest_difference_of_steps() -> None:
    one, sure = orders(3, 10), scores(3, 10)
    facts = agreement(one, one[:, ::-1], sure, sure / 2).facts()
    assert facts["tau"] == -1.0
    assert facts["step_difference"] == pytest.approx(10 / 2)  # N/2 for an even N
    assert facts["same_share"] == 0.0
    assert facts["score_ratio"] == pytest.approx(0.5)
    assert facts["score_gap"] == pytest.approx(sure.mean() / 2)


def test_one_swap_of_neighbours_costs_one_pair() -> None:
    one = orders(1, 10)
    other = one.copy()
    other[0, [3, 4]] = one[0, [4, 3]]
    assert kendall_tau(one, other)[0] == pytest.approx(1 - 2 / 45)


def test_one_image_has_no_standard_error() -> None:
    one, sure = orders(1, 10), scores(1, 10)
    assert np.isnan(agreement(one, one, sure, sure).facts()["tau_error"])


def test_tau_between_classes_is_the_mean_over_all_pairs_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    every, groups = orders(9, 7), np.array([0, 2, 0, 2, 2, 0, 1, 2, 0])
    pairs = [(i, j) for i in range(9) for j in range(9) if i != j]
    taus = kendall_tau(every[[i for i, _ in pairs]], every[[j for _, j in pairs]])
    expected = np.full((3, 3), np.nan)
    for a in range(3):
        for b in range(3):
            mine = [t for (i, j), t in zip(pairs, taus, strict=True) if (groups[i], groups[j]) == (a, b)]
            expected[a, b] = np.mean(mine) if mine else np.nan
    found = class_tau(every, groups, 3)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert np.isnan(found[1, 1])  # one image has no other of its class
    is_same = np.array([groups[i] == groups[j] for i, j in pairs])
    within, between = within_and_between(found, groups)
    assert within == pytest.approx(taus[is_same].mean())
    assert between == pytest.approx(taus[~is_same].mean())
    monkeypatch.setattr("oarpipe.metrics.agreement._PAIRED", 2)
    np.testing.assert_array_equal(class_tau(every, groups, 3), found)


def test_one_class_has_no_pairs_of_two() -> None:
    every, groups = orders(4, 5), np.zeros(4, np.int64)
    within, between = within_and_between(class_tau(every, groups, 1), groups)
    assert -1 <= within <= 1
    assert np.isnan(between)
