import numpy as np
import pytest
import scipy.linalg

from oarpipe.metrics.bootstrap import FrechetBootstrap, resampled
from oarpipe.metrics.fidelity import frechet_distance
from oarpipe.metrics.percentiles import interval
from oarpipe.metrics.statistics import statistics
from tests.metrics.conftest import gaussian


def obvious(features: np.ndarray, reference: np.ndarray) -> float:
    """The Fréchet distance by copies, numpy's covariance and scipy's matrix root."""
    s, t = np.cov(features, rowvar=False), np.cov(reference, rowvar=False)
    shift = features.mean(axis=0) - reference.mean(axis=0)
    return float(shift @ shift + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real))


@pytest.mark.parametrize(("count", "dimensions"), [(50, 4), (40, 30), (20, 32)])
def test_replicates_are_the_distances_of_resampled_copies(count: int, dimensions: int) -> None:
    """With more distinct vectors than dimensions, and with fewer: of 40 and of 20, about 25 and 13."""
    reference, one = gaussian(80, dimensions, 0), gaussian(count, dimensions, 1, shift=0.5)
    found = FrechetBootstrap(statistics(reference.features), replicates=6, seed=3)(one.features)
    copies = [one.features.astype(float)[resampled(3, b, count).numpy()] for b in range(6)]
    expected = [obvious(copy, reference.features.astype(float)) for copy in copies]
    np.testing.assert_allclose(found, expected, rtol=1e-6 if count < 2 * dimensions else 1e-9)


def test_equal_sets_differ_by_nothing_in_any_replicate() -> None:
    bootstrap = FrechetBootstrap(statistics(gaussian(80, 4, 0).features), replicates=5, seed=0)
    assert bootstrap(gaussian(50, 4, 1).features) == bootstrap(gaussian(50, 4, 1).features)


def test_features_that_never_vary_are_borne() -> None:
    reference, one = gaussian(50, 4, 0), gaussian(50, 4, 1)
    for each in (reference, one):
        each.features[:, 2] = 0
    found = FrechetBootstrap(statistics(reference.features), replicates=3, seed=0)(one.features)
    copies = [one.features[resampled(0, b, 50).numpy()] for b in range(3)]
    moments = [statistics(copy) for copy in copies]
    expected = [frechet_distance(one, statistics(reference.features)) for one in moments]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_no_replicates_are_asked_of_a_bootstrap_of_none() -> None:
    reference = statistics(gaussian(80, 4, 0).features)
    assert FrechetBootstrap(reference, replicates=0, seed=0)(gaussian(50, 4, 1).features) == []


def test_indices_are_uniform_and_drawn_with_repeats() -> None:
    drawn = np.concatenate([resampled(0, b, 100).numpy() for b in range(100)])
    counts = np.bincount(drawn, minlength=100)
    assert counts.min() > 50
    assert counts.max() < 150
    assert len(set(resampled(0, 0, 100).tolist())) < 80  # 63 of 100 are expected


def test_the_bias_of_resampling_is_upward_and_cancels_in_paired_differences() -> None:
    reference = statistics(gaussian(500, 16, 0).features)
    sets = {"near": gaussian(150, 16, 1), "far": gaussian(150, 16, 2, scale=1.3)}
    bootstrap = FrechetBootstrap(reference, replicates=100, seed=0)
    found = {name: np.array(bootstrap(one.features)) for name, one in sets.items()}
    estimates = {name: frechet_distance(one, reference) for name, one in sets.items()}
    bias = {name: np.mean(found[name]) - estimates[name] for name in found}
    assert min(bias.values()) > 0.1 * estimates["near"]
    shift = (found["far"] - found["near"]).mean() - (estimates["far"] - estimates["near"])
    assert abs(shift) < 0.5 * min(bias.values())


def test_pairing_narrows_the_interval_of_sets_that_share_their_noise() -> None:
    bootstrap = FrechetBootstrap(statistics(gaussian(300, 4, 0).features), replicates=100, seed=0)
    base = np.array(bootstrap(gaussian(200, 4, 1).features))
    twin = np.array(bootstrap(gaussian(200, 4, 1, shift=0.05).features))
    (low, high), (lower, higher) = (interval(d, estimate=0.0) for d in (twin - base, twin - base[::-1]))
    assert high - low < 0.5 * (higher - lower)
