import numpy as np
import pytest

from oarpipe.errors import BadInput
from oarpipe.metrics.statistics import Moments, statistics


def test_batches_give_numpys_mean_and_covariance():
    features = np.random.default_rng(0).standard_normal((500, 6)) + 1000.0  # far from 0, where sums cancel
    moments = Moments(6)
    for batch in np.split(features, [1, 17, 300]):
        moments.add(batch)
    found = moments.statistics()
    assert found.count == 500
    np.testing.assert_allclose(found.mean, features.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), rtol=0, atol=1e-10)


def test_a_set_larger_than_a_block_is_the_sum_of_its_blocks():
    features = np.random.default_rng(1).standard_normal((9000, 3)).astype(np.float32)
    found = statistics(features)
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(float), rowvar=False), atol=1e-13)


def test_one_image_has_no_covariance():
    with pytest.raises(BadInput, match="at least two images a set, got 1"):
        statistics(np.zeros((1, 3)))
