"""What the measuring networks cost, against torch's counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oarpipe.metrics.classifier import Classifier
from oarpipe.metrics.extractors import inception_network
from oarpipe.metrics.flops import INCEPTION_FLOPS, INCEPTION_PARAMETERS, classifier_flops, classifier_layers
from tests.metrics.test_extractors import inception_state  # noqa: F401  a fixture


@pytest.mark.parametrize("resolution", [8, 24, 64])
def test_the_classifier_asks_for_what_the_counter_sees(resolution: int) -> None:
    network = Classifier(resolution=resolution, channels=8, dimensions=16, num_classes=5).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, resolution, resolution))
    assert classifier_flops(resolution, 8, 16, 5) == counter.get_total_flops()
    layers = classifier_layers(resolution, 8, 16, 5)
    assert sum(weights for weights, _ in layers) == sum(p.numel() for p in network.parameters() if p.ndim > 1)


def test_inceptions_cost_is_what_the_counter_sees(inception_state: dict[str, torch.Tensor]) -> None:  # noqa: F811
    network = inception_network(inception_state)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert counter.get_total_flops() == pytest.approx(INCEPTION_FLOPS, rel=0.001)
    assert sum(t.numel() for t in inception_state.values()) == pytest.approx(INCEPTION_PARAMETERS, rel=0.01)
