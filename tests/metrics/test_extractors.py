import io

import numpy as np
import pytest
import torch

from oarpipe.metrics.classifier import Classifier
from oarpipe.metrics.extractors import (
    Extractor,
    FromBytes,
    import_torch_fidelity,
    inception_network,
    metric_name,
)
from oarpipe.metrics.features import measure
from oarpipe.metrics.fidelity import frechet_distance, inception_score, kernel_distance


@pytest.fixture(scope="module")
def inception_state() -> dict[str, torch.Tensor]:
    """Random weights under Inception's names, to run its real path without a download."""
    network = import_torch_fidelity("feature_extractor_inceptionv3").FeatureExtractorInceptionV3

    class Blank(network):
        def load_state_dict(self, *args, **kwargs):
            return None

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    torch.manual_seed(0)
    return Blank("blank", ["2048"], feature_extractor_weights_path=nothing).state_dict()


class Images(torch.utils.data.Dataset):
    """uint8 CHW images, the form torch-fidelity reads."""

    def __init__(self, images: torch.Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> torch.Tensor:
        return self.images[i]


def test_torch_fidelity_imports_and_its_functions_are_there():
    assert callable(import_torch_fidelity().calculate_metrics)
    assert callable(import_torch_fidelity("metric_fid").fid_statistics_to_metric)


def test_another_failure_of_torchvision_is_not_hidden(monkeypatch):
    def fail(name: str):
        raise RuntimeError("out of luck")

    monkeypatch.setattr("oarpipe.metrics.extractors.importlib.import_module", fail)
    with pytest.raises(RuntimeError, match="out of luck"):
        import_torch_fidelity()


def test_only_inceptions_distances_carry_its_names():
    assert [metric_name(m, "digits", "classifier") for m in ("fd", "kd", "is")] == [
        "fd[digits]",
        "kd[digits]",
        "is[digits]",
    ]
    assert [metric_name(m, "any", "inception") for m in ("fd", "kd", "is")] == ["fid", "kid", "is"]


def test_an_extractor_gives_features_and_logits_on_the_cpu(extractor):
    measured = extractor(torch.zeros(2, 3, 12, 12, dtype=torch.uint8))
    assert (measured.features.shape, measured.logits.shape) == ((2, 5), (2, 3))
    assert measured.features.device.type == "cpu"


def test_torch_fidelitys_own_interface_finds_the_extractor_and_the_same_numbers(extractor):
    generator = torch.Generator().manual_seed(0)
    a = torch.randint(256, (40, 3, 12, 12), dtype=torch.uint8, generator=generator)
    b = torch.randint(128, (40, 3, 12, 12), dtype=torch.uint8, generator=generator)
    found = import_torch_fidelity().calculate_metrics(
        input1=Images(a),
        input2=Images(b),
        feature_extractor=extractor.registered,
        cuda=False,
        fid=True,
        kid=True,
        isc=True,
        kid_subsets=3,
        kid_subset_size=20,
        save_cpu_ram=True,
        verbose=False,
    )
    ours_a, ours_b = (measure(extractor, [x.permute(0, 2, 3, 1).numpy()]) for x in (a, b))
    assert frechet_distance(ours_a, ours_b) == pytest.approx(found["frechet_inception_distance"], rel=1e-4)
    kernel = kernel_distance(ours_a, ours_b, subsets=3, subset_size=20)
    assert kernel == pytest.approx(found["kernel_inception_distance_mean"], rel=1e-4)
    assert inception_score(ours_a) == pytest.approx(found["inception_score_mean"], rel=1e-6)


def test_networks_of_one_name_and_other_weights_are_kept_apart(extractor):
    other = Classifier(resolution=12, channels=4, dimensions=6, num_classes=3)
    second = Extractor(FromBytes(other), name="toy", kind="classifier", digest="1" * 64)
    registry = import_torch_fidelity("registry").FEATURE_EXTRACTORS_REGISTRY
    assert extractor.registered != second.registered
    assert {extractor.registered, second.registered} <= set(registry)


def test_inception_runs_from_a_state_dict(inception_state):
    network = inception_network(inception_state)
    features, logits, spatial = network(torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8))
    assert (features.shape, logits.shape, spatial.shape) == ((2, 2048), (2, 1008), (2, 2023))
    again = inception_network(inception_state)(torch.zeros(1, 3, 24, 24, dtype=torch.uint8))
    assert np.isfinite(again[0].numpy()).all()


def test_adms_spatial_features_are_seven_channels_of_a_block_with_the_channels_last(inception_state):
    network = inception_network(inception_state)
    inner, inputs = network.network, []
    inner.Mixed_6d.register_forward_pre_hook(lambda module, given: inputs.append(given[0].clone()))
    spatial = network(torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8))[2]
    block = inner.Mixed_6d.branch1x1(inputs[0])
    assert block.shape == (2, 192, 17, 17)
    assert (block >= 0).all()
    expected = [[float(block[1, c, h, w]) for c in range(7)] for h, w in ((0, 0), (0, 1), (16, 16))]
    for place, values in zip((0, 1, 16 * 17 + 16), expected, strict=True):
        np.testing.assert_allclose(spatial[1, 7 * place : 7 * place + 7].numpy(), values, atol=1e-6)
