"""V-information by class, on probabilities known in closed form."""

from math import log, nan

import numpy as np
import pytest

from oarpipe.metrics.information import v_information


def test_a_fair_coin_told_beforehand_gains_ln_2_an_image() -> None:
    labels = np.array([3, 3, 5])
    raster = np.log(np.full((3, 4), 0.5))
    special = raster.copy()
    special[:2, 1] = 0  # one code of class 3 has become certain
    first, second = v_information(raster, special, labels)
    assert (first.label, first.images, second.label, second.images) == (3, 2, 5, 1)
    assert first.raster == pytest.approx(4 * log(2))
    assert first.specialised == pytest.approx(3 * log(2))
    assert first.gain == pytest.approx(log(2))
    assert first.error == pytest.approx(0)
    assert second.gain == 0
    assert second.error == pytest.approx(nan, nan_ok=True)


def test_sums_of_an_image_do_as_well_as_steps() -> None:
    rng = np.random.default_rng(0)
    raster, special = -rng.random((6, 5)), -rng.random((6, 5))
    labels = np.array([0, 1, 0, 1, 0, 1])
    by_step = v_information(raster, special, labels)
    by_sum = v_information(raster.sum(axis=1, keepdims=True), special.sum(axis=1, keepdims=True), labels)
    for one, other in zip(by_step, by_sum, strict=True):
        assert one.gain == pytest.approx(other.gain)
        assert one.error == pytest.approx(other.error)


def test_the_error_is_that_of_the_paired_differences() -> None:
    raster = -np.array([[1.0], [3.0], [5.0]])
    special = -np.array([[0.0], [1.0], [5.0]])
    (found,) = v_information(raster, special, np.zeros(3, np.int32))
    assert found.gain == pytest.approx(1)
    assert found.error == pytest.approx(np.std([1, 2, 0], ddof=1) / 3**0.5)
