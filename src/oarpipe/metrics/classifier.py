"""The small convolutional classifier whose penultimate layer measures distances in the pipeline.

It takes images of one resolution only: resized images have other statistics, and distances between
differently resized sets are not comparable.
"""

from pathlib import Path
from typing import Any

import torch
import yaml
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from oarpipe.base.files import write_atomically, write_text
from oarpipe.errors import BadInput, IncompleteData

WEIGHTS = "classifier.safetensors"
DESCRIPTION = "classifier.yaml"
SMALLEST_SIDE = 6  # strided convolutions halve the image until a side is at most this


class Classifier(nn.Module):
    """Strided convolutions with batch normalisation, one hidden layer (the features), one linear layer."""

    def __init__(self, *, resolution: int, channels: int, dimensions: int, num_classes: int) -> None:
        super().__init__()
        self.resolution = resolution
        inputs, width, side = 3, channels, resolution
        layers: list[nn.Module] = []
        while side > SMALLEST_SIDE:
            layers += _convolution(inputs, width, stride=2)
            inputs, width, side = width, min(2 * width, 4 * channels), (side + 1) // 2
        layers += [*_convolution(inputs, inputs, stride=1), nn.AdaptiveAvgPool2d(3), nn.Flatten()]
        self.trunk = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(9 * inputs, dimensions), nn.GELU())
        self.head = nn.Linear(dimensions, num_classes)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B C"]]:
        """Features and logits of images in -1..1."""
        if images.shape[-2:] != (self.resolution, self.resolution):
            height, width = images.shape[-2:]
            raise BadInput(
                f"the feature classifier was trained on {self.resolution}x{self.resolution} images, "
                f"got {height}x{width}; name a `features:` entry trained on images of that size"
            )
        features = self.hidden(self.trunk(images))
        return features, self.head(features)


def to_floats(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """uint8 0..255 to float32 -1..1."""
    return images.float() / 127.5 - 1.0


def save_classifier(network: Classifier, folder: Path, description: dict[str, Any]) -> None:
    """Writes `classifier.safetensors` and `classifier.yaml`, which holds what `load_classifier` needs."""
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda partial: save_file(weights, partial))
    write_text(folder / DESCRIPTION, yaml.safe_dump(description, sort_keys=False))


def load_classifier(folder: Path) -> tuple[Classifier, dict[str, Any]]:
    """The trained network, ready to measure, and its description."""
    try:
        description = yaml.safe_load((folder / DESCRIPTION).read_text())
        network = Classifier(
            resolution=description["resolution"],
            channels=description["channels"],
            dimensions=description["dimensions"],
            num_classes=len(description["classes"]),
        )
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, yaml.YAMLError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise IncompleteData(
            f"{folder}: not a whole feature classifier ({' '.join(str(error).split())[:120]}); "
            "delete it and run `oarpipe train_features` again"
        ) from error
    return network.eval().requires_grad_(False), description


def _convolution(inputs: int, outputs: int, *, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


@torch.inference_mode()
def predict(network: Classifier, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B C"]:
    """Logits of a batch, in evaluation mode."""
    return network.eval()(to_floats(images))[1]  # type: ignore[no-any-return]  # nn.Module calls are untyped
