"""Resampled scores: those of the images that were drawn, taken anew, where that is what is meant."""

import numpy as np
import pytest
import torch

from oarpipe.metrics import adm, fidelity
from oarpipe.metrics.bootstrap import resampled
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.percentiles import interval
from oarpipe.metrics.score_bootstrap import ScoreBootstrap, _radii, balls, kernel_distances, pair_kernel

REPLICATES, SEED, K = 40, 5, 3


def images(count: int, shift: float = 0.0, seed: int = 0) -> FeatureSet:
    draw = np.random.default_rng(seed)
    features = draw.normal(shift, 1, (count, 6)).astype(np.float32)
    logits = draw.normal(0, 2, (count, 4)).astype(np.float32)
    return FeatureSet(features, logits, draw.integers(0, 4, count).astype(np.int32))


@pytest.fixture(scope="module")
def reference() -> FeatureSet:
    return images(90, seed=1)


@pytest.fixture(scope="module")
def samples() -> FeatureSet:
    return images(70, 0.6, seed=2)


@pytest.fixture(scope="module")
def found(reference: FeatureSet, samples: FeatureSet) -> dict[str, list[float]]:
    return ScoreBootstrap(reference, neighbourhood=K, replicates=REPLICATES, seed=SEED)(samples)


def drawn(one: FeatureSet, replicate: int) -> FeatureSet:
    rows = resampled(SEED, replicate, len(one)).numpy()
    return FeatureSet(one.features[rows], one.logits[rows], one.labels[rows])


def test_accuracy_and_inception_score_are_those_of_the_drawn_images(
    found: dict[str, list[float]], samples: FeatureSet
) -> None:
    again = [drawn(samples, b) for b in range(REPLICATES)]
    assert found["accuracy"] == pytest.approx([fidelity.accuracy(one) for one in again])
    scores = [adm.inception_score(one.logits, split_size=len(one)) for one in again]
    assert found["is"] == pytest.approx(scores, rel=1e-6)


def test_the_kernel_distance_of_all_images_once_is_the_published_estimator(
    reference: FeatureSet, samples: FeatureSet
) -> None:
    """One subset of everything, by torch-fidelity, which draws without repeats."""
    few = FeatureSet(reference.features[:70], reference.logits[:70], reference.labels[:70])
    theirs = fidelity.kernel_distance(samples, few, subsets=1, subset_size=70)
    given = [torch.from_numpy(one.features) for one in (samples, few)]
    (ours,) = kernel_distances(*given, np.ones((1, 70)), pair_kernel(given[1]))
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_kernel_distance_is_the_mean_over_the_pairs_drawn(
    found: dict[str, list[float]], reference: FeatureSet, samples: FeatureSet
) -> None:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a.astype(np.float64) @ b.T.astype(np.float64) / 6 + 1) ** 3

    def pairs(one: np.ndarray) -> float:
        matrix = kernel(one, one)
        return float((matrix.sum() - np.trace(matrix)) / (len(one) * (len(one) - 1)))

    theirs = pairs(reference.features)
    for replicate in range(5):
        ours = drawn(samples, replicate).features
        expected = pairs(ours) + theirs - 2 * kernel(ours, reference.features).mean()
        assert found["kd"][replicate] == pytest.approx(expected, rel=1e-4)


def test_the_balls_hold_what_torch_fidelity_counts(reference: FeatureSet, samples: FeatureSet) -> None:
    ours, theirs = (torch.from_numpy(one.features) for one in (samples, reference))
    is_inside, covering = balls(ours, theirs, _radii(theirs, K), K)
    shares = fidelity.precision_recall(samples, reference, neighbourhood=K)
    assert (is_inside.mean(), (covering.sum(axis=1) > 0).mean()) == pytest.approx(shares)


def test_precision_and_recall_count_the_balls_of_what_was_drawn(
    found: dict[str, list[float]], reference: FeatureSet, samples: FeatureSet
) -> None:
    def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(axis=2))

    radii = [np.sort(distances(one.features, one.features), axis=1)[:, K] for one in (samples, reference)]
    across = distances(samples.features, reference.features)
    for replicate in range(5):
        rows = resampled(SEED, replicate, len(samples)).numpy()
        inside = (across[rows] <= radii[1]).any(axis=1)
        covered = (across[rows] <= radii[0][rows][:, None]).any(axis=0)
        assert found["precision"][replicate] == pytest.approx(inside.mean())
        assert found["recall"][replicate] == pytest.approx(covered.mean())


def test_an_interval_of_the_accuracy_is_as_wide_as_the_binomial_says(reference: FeatureSet) -> None:
    many = images(2000, seed=3)
    bootstrap = ScoreBootstrap(None, neighbourhood=K, replicates=400, seed=0)
    share = fidelity.accuracy(many)
    low, high = interval(bootstrap(many)["accuracy"], estimate=share)
    assert (high - low) / 2 == pytest.approx(1.96 * (share * (1 - share) / 2000) ** 0.5, rel=0.15)


def test_what_is_not_wanted_is_not_resampled(reference: FeatureSet, samples: FeatureSet) -> None:
    bootstrap = ScoreBootstrap(reference, neighbourhood=K, replicates=3, seed=0)
    assert set(bootstrap(samples, ["is", "recall"])) >= {"is", "recall"}
    assert not {"kd", "accuracy"} & set(bootstrap(samples, ["is", "recall"]))


def test_what_a_set_lacks_is_not_resampled(samples: FeatureSet) -> None:
    bare = FeatureSet(samples.features, np.zeros((70, 0), np.float32), np.full(70, -1, np.int32))
    assert ScoreBootstrap(None, neighbourhood=K, replicates=3, seed=0)(bare) == {}
    assert ScoreBootstrap(samples, neighbourhood=K, replicates=0, seed=0)(samples) == {}
