import math

import pytest
import torch

from oarpipe.metrics.information import (
    cross_entropy,
    information_gain,
    information_gain_by_class,
    token_nll,
)


def test_a_uniform_model_needs_the_logarithm_of_the_codebook_a_token():
    log_probs = torch.full((3, 5), -math.log(64))
    assert token_nll(log_probs).tolist() == pytest.approx([math.log(64)] * 3)
    assert cross_entropy(log_probs) == pytest.approx(5 * math.log(64))


def test_the_gain_is_what_the_specialised_order_saves():
    raster = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]])
    specialised = torch.tensor([[-1.0, -1.0], [-2.0, -4.0]])
    found = information_gain(raster, specialised)
    assert (found.raster, found.specialised, found.gain) == (5.0, 4.0, 1.0)


def test_the_classes_gains_average_to_the_whole_gain():
    generator = torch.Generator().manual_seed(0)
    raster, specialised = (-torch.rand(6, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.tensor([0, 1, 0, 1, 2, 2])
    by_class = information_gain_by_class(raster, specialised, labels)
    assert sorted(by_class) == [0, 1, 2]
    mean = sum(one.gain for one in by_class.values()) / 3
    assert mean == pytest.approx(information_gain(raster, specialised).gain)
