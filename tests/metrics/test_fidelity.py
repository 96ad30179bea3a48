import logging

import numpy as np
import pytest
import scipy.linalg

from oarpipe.errors import BadInput
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.fidelity import (
    accuracy,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from oarpipe.metrics.statistics import Statistics, statistics
from tests.metrics.conftest import gaussian


def test_gaussians_with_diagonal_covariances_have_their_closed_form():
    a = Statistics(np.array([0.0, 1.0, 2.0]), np.diag([1.0, 4.0, 9.0]))
    b = Statistics(np.array([1.0, 1.0, 0.0]), np.diag([4.0, 1.0, 9.0]))
    expected = (1 + 0 + 4) + sum((s - t) ** 2 for s, t in [(1, 2), (2, 1), (3, 3)])
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_the_frechet_distance_is_that_of_scipys_matrix_root():
    a, b = (gaussian(300, 8, 0), gaussian(200, 8, 1, shift=0.3, scale=1.4))
    s, t = statistics(a.features), statistics(b.features)
    root = scipy.linalg.sqrtm(s.covariance @ t.covariance).real
    expected = np.sum((s.mean - t.mean) ** 2) + np.trace(s.covariance + t.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_a_set_is_at_no_distance_from_itself():
    a = gaussian(100, 5, 0)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_is_the_unbiased_mmd_of_a_cubic_kernel():
    a, b = gaussian(40, 4, 0), gaussian(40, 4, 1, shift=0.5)

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x.astype(float) @ y.T.astype(float) / 4 + 1) ** 3

    off = ~np.eye(40, dtype=bool)
    xx, yy = (kernel(s.features, s.features)[off].mean() for s in (a, b))
    expected = xx + yy - 2 * kernel(a.features, b.features).mean()
    assert kernel_distance(a, b, subsets=2, subset_size=40) == pytest.approx(expected, rel=1e-4)


def test_kernel_subsets_shrink_to_the_smaller_set_and_say_so(caplog):
    a, b = gaussian(30, 4, 0), gaussian(20, 4, 1)
    with caplog.at_level(logging.INFO, logger="oarpipe"):
        found = kernel_distance(a, b, subsets=3, subset_size=500)
    assert "subsets of 20 instead of 500" in caplog.text
    assert found == kernel_distance(a, b, subsets=3, subset_size=20)


def test_images_of_equally_many_certain_classes_score_the_number_of_classes():
    logits = np.tile(100 * np.eye(4, dtype=np.float32), (5000, 1))
    certain = FeatureSet(np.zeros((20000, 2), np.float32), logits, np.zeros(20000, np.int32))
    assert inception_score(certain) == pytest.approx(4, rel=1e-2)


def test_images_that_look_alike_score_one():
    alike = FeatureSet(np.zeros((50, 2), np.float32), np.ones((50, 4), np.float32), np.zeros(50, np.int32))
    assert inception_score(alike) == pytest.approx(1)


def test_precision_and_recall_are_those_of_the_definition():
    generated, reference = gaussian(60, 3, 0, shift=0.4, scale=0.7), gaussian(50, 3, 1)

    def among(points: np.ndarray, members: np.ndarray) -> float:
        inside = 0
        for point in points:
            for member in members:
                radius = np.sort(np.linalg.norm(members - member, axis=1))[3]  # the 0th is itself
                if np.linalg.norm(point - member) <= radius:
                    inside += 1
                    break
        return inside / len(points)

    g, r = generated.features.astype(float), reference.features.astype(float)
    found = precision_recall(generated, reference, neighbourhood=3)
    assert found == pytest.approx((among(g, r), among(r, g)), abs=1e-6)
    assert found[0] != found[1]


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(BadInput, match="3 neighbours asked for in a set of 3 images"):
        precision_recall(gaussian(3, 2, 0), gaussian(9, 2, 1), neighbourhood=3)


def test_accuracy_counts_the_classes_that_were_meant():
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 2]]
    measured = FeatureSet(np.zeros((4, 2), np.float32), logits, np.array([0, 1, 2, 0], np.int32))
    assert accuracy(measured) == 0.75


def test_accuracy_without_labels_is_refused():
    measured = FeatureSet(
        np.zeros((1, 2), np.float32), np.zeros((1, 3), np.float32), np.full(1, -1, np.int32)
    )
    with pytest.raises(BadInput, match="a class for every image"):
        accuracy(measured)
