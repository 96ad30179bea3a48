from pathlib import Path

import numpy as np
import pytest

from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics.statistics import Moments, read_statistics, statistics


def test_batches_give_numpys_mean_and_covariance():
    features = np.random.default_rng(0).standard_normal((500, 6)) + 1000.0  # far from 0, where sums cancel
    moments = Moments(6)
    for batch in np.split(features, [1, 17, 300]):
        moments.add(batch)
    found = moments.statistics()
    np.testing.assert_allclose(found.mean, features.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(found.covariance, np.cov(features, rowvar=False), rtol=0, atol=1e-10)


def test_a_set_larger_than_a_block_is_the_sum_of_its_blocks():
    features = np.random.default_rng(1).standard_normal((9000, 3)).astype(np.float32)
    found = statistics(features)
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(float), rowvar=False), atol=1e-13)


def test_one_image_has_no_covariance():
    with pytest.raises(BadInput, match="at least two images a set, got 1"):
        statistics(np.zeros((1, 3)))


def write(file: Path, **arrays: np.ndarray) -> Path:
    np.savez(file, **arrays)
    return file


def test_published_statistics_are_read_beside_other_arrays(tmp_path: Path) -> None:
    features = np.random.default_rng(2).standard_normal((50, 3))
    mu, sigma = features.mean(axis=0), np.cov(features, rowvar=False)
    file = write(tmp_path / "adm.npz", mu=mu, sigma=sigma, arr_0=np.zeros((2, 4, 4, 3), np.uint8))
    found = read_statistics(file)
    np.testing.assert_array_equal(found.mean, mu)
    np.testing.assert_array_equal(found.covariance, sigma)


def test_what_is_no_statistics_is_refused_by_name(tmp_path: Path) -> None:
    three, eye = np.zeros(3), np.eye(3)
    with pytest.raises(BadInput, match=r"images.npz: holds arr_0; `statistics` must name .* `mu`"):
        read_statistics(write(tmp_path / "images.npz", arr_0=eye))
    with pytest.raises(BadInput, match=r"mu is \[2\] and sigma \[3, 3\]"):
        read_statistics(write(tmp_path / "other.npz", mu=np.zeros(2), sigma=eye))
    with pytest.raises(BadInput, match="not finite"):
        read_statistics(write(tmp_path / "nan.npz", mu=three * np.nan, sigma=eye))
    with pytest.raises(BadInput, match="not symmetric"):
        read_statistics(write(tmp_path / "skew.npz", mu=three, sigma=np.triu(np.ones((3, 3)))))


def test_missing_broken_and_pickled_statistics_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"absent.npz: missing or broken"):
        read_statistics(tmp_path / "absent.npz")
    whole = write(tmp_path / "whole.npz", mu=np.zeros(3), sigma=np.eye(3)).read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IncompleteData, match=r"short.npz: .*not an .npz, or one cut short"):
        read_statistics(tmp_path / "short.npz")
    pickled = np.array([{"a": 1}], dtype=object)
    with pytest.raises(IncompleteData, match=r"pickled.npz: missing or broken .*allow_pickle"):
        read_statistics(write(tmp_path / "pickled.npz", mu=pickled, sigma=np.eye(1)))
