import numpy as np
import pytest
import scipy.linalg

from oarpipe.metrics.bootstrap import frechet_replicates, interval, paired_difference, resampled
from oarpipe.metrics.fidelity import frechet_distance
from oarpipe.metrics.statistics import statistics
from tests.metrics.conftest import gaussian


def obvious(features: np.ndarray, reference: np.ndarray) -> float:
    """The Fréchet distance by copies, numpy's covariance and scipy's matrix root."""
    s, t = np.cov(features, rowvar=False), np.cov(reference, rowvar=False)
    shift = features.mean(axis=0) - reference.mean(axis=0)
    return float(shift @ shift + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real))


def test_replicates_are_the_distances_of_resampled_copies():
    reference, one = gaussian(80, 4, 0), gaussian(50, 4, 1, shift=0.5)
    found = frechet_replicates({"one": one}, statistics(reference.features), replicates=6, seed=3)
    copies = [one.features.astype(float)[resampled(3, b, 50).numpy()] for b in range(6)]
    expected = [obvious(copy, reference.features.astype(float)) for copy in copies]
    np.testing.assert_allclose(found["one"], expected, rtol=1e-9)


def test_a_set_has_the_same_replicates_whatever_is_measured_beside_it():
    reference = statistics(gaussian(80, 4, 0).features)
    sets = {"a": gaussian(50, 4, 1), "b": gaussian(50, 4, 2), "small": gaussian(30, 4, 3)}
    together = frechet_replicates(sets, reference, replicates=4, seed=0)
    for name, one in sets.items():
        assert together[name] == frechet_replicates({name: one}, reference, replicates=4, seed=0)[name]


def test_blocks_of_replicates_do_not_matter(monkeypatch):
    sets, reference = {"a": gaussian(50, 4, 1)}, statistics(gaussian(80, 4, 0).features)
    whole = frechet_replicates(sets, reference, replicates=5, seed=0)
    monkeypatch.setattr("oarpipe.metrics.bootstrap.BLOCK_ELEMENTS", 1)
    np.testing.assert_allclose(frechet_replicates(sets, reference, replicates=5, seed=0)["a"], whole["a"])


def test_equal_sets_differ_by_nothing_in_any_replicate():
    a, reference = gaussian(50, 4, 1), statistics(gaussian(80, 4, 0).features)
    found = frechet_replicates({"a": a, "again": a}, reference, replicates=5, seed=0)
    difference = paired_difference(found["a"], found["again"])
    assert (difference.mean, difference.low, difference.high) == (0, 0, 0)
    assert not difference.is_clear


def test_indices_are_uniform_and_drawn_with_repeats():
    drawn = np.concatenate([resampled(0, b, 100).numpy() for b in range(100)])
    counts = np.bincount(drawn, minlength=100)
    assert counts.min() > 50
    assert counts.max() < 150
    assert len(set(resampled(0, 0, 100).tolist())) < 80  # 63 of 100 are expected


def test_the_bias_of_resampling_is_upward_and_cancels_in_paired_differences():
    reference = gaussian(500, 16, 0)
    near, far = gaussian(150, 16, 1), gaussian(150, 16, 2, scale=1.3)
    moments = statistics(reference.features)
    found = frechet_replicates({"near": near, "far": far}, moments, replicates=100, seed=0)
    estimates = {"near": frechet_distance(near, moments), "far": frechet_distance(far, moments)}
    bias = {name: np.mean(found[name]) - estimates[name] for name in found}
    assert min(bias.values()) > 0.1 * estimates["near"]
    shift = paired_difference(found["far"], found["near"]).mean - (estimates["far"] - estimates["near"])
    assert abs(shift) < 0.5 * min(bias.values())


def test_pairing_narrows_the_interval_of_sets_that_share_their_noise():
    base = gaussian(200, 4, 1)
    twin = gaussian(200, 4, 1, shift=0.05)
    found = frechet_replicates(
        {"base": base, "twin": twin}, statistics(gaussian(300, 4, 0).features), replicates=100, seed=0
    )
    paired = paired_difference(found["twin"], found["base"])
    unpaired = paired_difference(found["twin"], found["base"][::-1])
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


def test_an_interval_holds_the_middle_of_the_replicates():
    assert interval([float(v) for v in range(101)], 0.9) == pytest.approx((5, 95))


def test_an_interval_around_an_estimate_is_freed_of_the_bias():
    assert interval([4.0, 5.0, 6.0], 1.0, estimate=3.0) == pytest.approx((2, 4))


def test_a_difference_is_clear_when_its_interval_leaves_out_zero():
    assert paired_difference([1.0, 2.0, 3.0], [2.0, 3.5, 4.0]).is_clear
    assert not paired_difference([1.0, 2.0, 3.0], [2.0, 1.0, 4.0]).is_clear
