import pytest
import torch
from safetensors.torch import save_file

from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics.classifier import Classifier, load_classifier, predict, save_classifier, to_floats

SHAPE = {"resolution": 12, "channels": 4, "dimensions": 5}
DESCRIPTION = {"kind": "classifier", **SHAPE, "classes": ["a", "b", "c"], "test_accuracy": 0.5}


@pytest.fixture
def network() -> Classifier:
    torch.manual_seed(0)
    return Classifier(**SHAPE, num_classes=3)


def test_features_and_logits_have_the_promised_sizes(network):
    features, logits = network(torch.zeros(2, 3, 12, 12))
    assert (features.shape, logits.shape) == ((2, 5), (2, 3))


@pytest.mark.parametrize("resolution", [8, 24, 28, 64])
def test_any_resolution_can_be_learned(resolution):
    network = Classifier(resolution=resolution, channels=4, dimensions=5, num_classes=2)
    assert network(torch.zeros(2, 3, resolution, resolution))[1].shape == (2, 2)


def test_images_of_another_resolution_are_refused_with_both_sizes(network):
    with pytest.raises(BadInput, match="12x12 images, got 24x24"):
        network(torch.zeros(2, 3, 24, 24))


def test_bytes_become_minus_one_to_one():
    ends = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert to_floats(ends).unique().tolist() == [-1.0, 1.0]


def test_a_saved_network_says_the_same_after_loading(network, tmp_path):
    images = torch.randint(256, (4, 3, 12, 12), dtype=torch.uint8)
    network.train()(to_floats(images))  # moves the running statistics away from their start
    save_classifier(network, tmp_path, DESCRIPTION)
    loaded, description = load_classifier(tmp_path)
    assert torch.equal(predict(loaded, images), predict(network, images))
    assert description == DESCRIPTION
    assert not any(p.requires_grad for p in loaded.parameters())


def test_damaged_weights_are_an_error_that_names_the_folder(network, tmp_path):
    save_classifier(network, tmp_path, DESCRIPTION)
    file = tmp_path / "classifier.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(IncompleteData, match=str(tmp_path)):
        load_classifier(tmp_path)


def test_weights_of_another_shape_are_an_error(network, tmp_path):
    save_classifier(network, tmp_path, DESCRIPTION)
    save_file({"head.bias": torch.zeros(3)}, tmp_path / "classifier.safetensors")
    with pytest.raises(IncompleteData, match="not a whole feature classifier"):
        load_classifier(tmp_path)
