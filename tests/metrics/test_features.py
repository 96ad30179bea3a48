import numpy as np
import pytest
import torch

from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics.extractors import Extractor
from oarpipe.metrics.features import FeatureSet, measure
from tests.metrics.conftest import gaussian


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)


def test_batches_do_not_matter(extractor, images):
    whole = measure(extractor, [images], labels=np.arange(10))
    parts = measure(extractor, (images[i : i + 3] for i in range(0, 10, 3)), labels=np.arange(10))
    np.testing.assert_allclose(whole.features, parts.features, atol=1e-6)
    np.testing.assert_allclose(whole.logits, parts.logits, atol=1e-6)
    assert parts.labels.tolist() == list(range(10))


class Spatial(torch.nn.Module):
    """A network with spatial features: every other pixel of the first channel."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        means = images.float().mean(dim=(2, 3))
        return means, means[:, :2], images[:, 0, ::2, ::2].float().flatten(1)


def test_the_moments_of_streamed_spatial_features_are_those_of_all_at_once(images, tmp_path):
    network = Extractor(Spatial(), name="toy", kind="inception", digest="2" * 64)
    found = measure(network, (images[i : i + 3] for i in range(0, 10, 3)))
    vectors = images[:, ::2, ::2, 0].reshape(10, -1).astype(np.float64)
    np.testing.assert_allclose(found.spatial.mean, vectors.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.spatial.covariance, np.cov(vectors, rowvar=False), atol=1e-9)
    found.write(tmp_path / "one.npz")
    read = FeatureSet.read(tmp_path / "one.npz")
    np.testing.assert_array_equal(read.spatial.covariance, found.spatial.covariance)
    assert read.network == found.network == "2" * 64


def test_a_part_is_evenly_spread(extractor, images):
    whole = measure(extractor, [images], labels=np.arange(10))
    assert whole.evenly(4).labels.tolist() == [0, 2, 5, 7]
    assert whole.evenly(40).labels.tolist() == list(range(10))


def test_the_channels_come_before_the_pixels(extractor, images):
    expected = extractor(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()).features
    np.testing.assert_allclose(measure(extractor, [images]).features, expected.numpy(), atol=1e-6)


def test_images_without_labels_have_none(extractor, images):
    assert set(measure(extractor, [images]).labels.tolist()) == {-1}


def test_an_empty_set_is_refused(extractor):
    with pytest.raises(BadInput, match="no images to measure"):
        measure(extractor, [])


def test_labels_of_another_set_are_refused(extractor, images):
    with pytest.raises(BadInput, match="9 labels for 10 images"):
        measure(extractor, [images], labels=np.arange(9))


def test_a_written_set_is_read_again(tmp_path):
    one = gaussian(5, 3, 0)
    one.write(tmp_path / "deep" / "one.npz")
    read = FeatureSet.read(tmp_path / "deep" / "one.npz")
    for name in ("features", "logits", "labels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(one, name))
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["one.npz"]


def test_a_broken_file_is_an_error_and_named(tmp_path):
    file = tmp_path / "one.npz"
    gaussian(500, 3, 0).write(file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(IncompleteData, match=str(file)):
        FeatureSet.read(file)


def test_pickled_arrays_are_refused(tmp_path):
    file = tmp_path / "one.npz"
    np.savez(file, features=np.array([{}]), logits=np.array([{}]), labels=np.array([{}]))
    with pytest.raises(IncompleteData, match=r"one\.npz"):
        FeatureSet.read(file)
