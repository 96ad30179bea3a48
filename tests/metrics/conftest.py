"""A small untrained extractor, and feature sets drawn from Gaussians."""

import numpy as np
import pytest
import torch

from oarpipe.metrics.features import FeatureSet


def gaussian(count: int, dimensions: int, seed: int, *, shift: float = 0.0, scale: float = 1.0) -> FeatureSet:
    """n vectors of N(shift, scale^2 C) with a full covariance C, labels 0..2 in turn."""
    mixing = np.random.default_rng(7).standard_normal((dimensions, dimensions)) / dimensions**0.5
    rng = np.random.default_rng(seed)
    features = (rng.standard_normal((count, dimensions)) @ mixing * scale + shift).astype(np.float32)
    logits = rng.standard_normal((count, 3)).astype(np.float32)
    return FeatureSet(features, logits, (np.arange(count) % 3).astype(np.int32))


@pytest.fixture
def extractor():
    from oarpipe.metrics.classifier import Classifier
    from oarpipe.metrics.extractors import Extractor, FromBytes

    torch.manual_seed(0)
    network = Classifier(resolution=12, channels=4, dimensions=5, num_classes=3)
    return Extractor(FromBytes(network), name="toy", kind="classifier", digest="0" * 64)
