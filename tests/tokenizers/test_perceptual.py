"""LPIPS with random weights: published ones are not shipped; its arithmetic is held, not its values."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from oarpipe.errors import IncompleteData
from oarpipe.tokenizers.perceptual import SMALLEST_SIDE, load_perceptual

# VGG16's feature layers as torchvision lists them (configuration "D" of Simonyan and Zisserman 2015).
VGG16 = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
TAPS = (3, 8, 15, 22, 29)  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3


def vgg16() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        if isinstance(width, int):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


@pytest.fixture(scope="module")
def weights(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]]:
    """Two files as their authors publish them, pickled, and what is in them."""
    folder = tmp_path_factory.mktemp("lpips")
    torch.manual_seed(0)
    network = vgg16()
    state = {f"features.{key}": tensor for key, tensor in network.state_dict().items()}
    heads = {f"lin{i}.model.1.weight": torch.rand(1, w, 1, 1) for i, w in enumerate((64, 128, 256, 512, 512))}
    torch.save({**state, "classifier.0.bias": torch.zeros(3)}, folder / "vgg16.pth")
    torch.save(heads, folder / "vgg.pth")
    return folder / "vgg16.pth", folder / "vgg.pth", network, heads


def test_the_distance_is_lpips_formula_over_an_ordinary_vgg16(
    weights: tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]],
) -> None:
    vgg, lpips, network, heads = weights
    a, b = torch.rand(2, 3, 20, 20) * 2 - 1, torch.rand(2, 3, 20, 20) * 2 - 1
    x, y = (
        (image - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1))
        / torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
        for image in (a, b)
    )
    expected = torch.zeros(2)
    with torch.no_grad():
        for place, layer in enumerate(network[: TAPS[-1] + 1]):
            x, y = layer(x), layer(y)
            if place in TAPS:
                weight = heads[f"lin{TAPS.index(place)}.model.1.weight"].flatten()
                difference = (F.normalize(x, dim=1, eps=0) - F.normalize(y, dim=1, eps=0)).nan_to_num()
                expected += torch.einsum("bchw,c->bhw", difference**2, weight).mean(dim=(1, 2))
        found = load_perceptual([vgg, lpips])(a, b)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_equal_images_are_at_no_distance_even_the_smallest_and_weights_never_train(
    weights: tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]],
) -> None:
    model = load_perceptual([weights[0], weights[1]])
    image = torch.rand(1, 3, SMALLEST_SIDE, SMALLEST_SIDE)
    assert model(image, image).item() == 0.0
    assert not any(p.requires_grad for p in model.parameters())


def test_gradients_are_finite_even_where_no_feature_fires(
    weights: tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]],
) -> None:
    model = load_perceptual([weights[0], weights[1]])
    with torch.no_grad():
        model.features["28"].bias.fill_(-1e6)  # type: ignore[operator,union-attr]
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    model(image, torch.rand(1, 3, 16, 16)).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_missing_heads_are_named_and_so_is_a_file_that_is_no_weights(
    weights: tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    with pytest.raises(IncompleteData, match=r"vgg16\.pth.*heads\.0\.weight"):
        load_perceptual([weights[0]])
    (tmp_path / "broken.pth").write_bytes(b"not weights")
    (tmp_path / "broken.safetensors").write_bytes(b"not weights")
    for name in ("broken.pth", "broken.safetensors", "absent.pth"):
        with pytest.raises(IncompleteData, match=name):
            load_perceptual([tmp_path / name])


def test_safetensors_files_are_read_too(
    weights: tuple[Path, Path, nn.Sequential, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    state = {f"features.{key}": tensor for key, tensor in weights[2].state_dict().items()}
    save_file(state | weights[3], tmp_path / "all.safetensors")
    one, two = load_perceptual([tmp_path / "all.safetensors"]), load_perceptual([weights[0], weights[1]])
    assert all(torch.equal(one.state_dict()[key], tensor) for key, tensor in two.state_dict().items())
