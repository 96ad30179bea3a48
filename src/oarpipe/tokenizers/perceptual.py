"""LPIPS (Zhang et al. 2018): the distance of two images in the features of VGG16.

The network is written out here, so that torchvision is not needed; its weights are read from local
files, under the names that torchvision and the LPIPS authors gave them.
"""

import pickle
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from oarpipe.errors import IncompleteData

# Convolutions of VGG16 before relu1_2, relu2_2, relu3_3, relu4_3 and relu5_3: place in torchvision's
# `features`, channels in, channels out.
STAGES = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
SHIFT = (-0.030, -0.088, -0.188)  # of LPIPS, for images in -1..1
SCALE = (0.458, 0.448, 0.450)
SMALLEST_SIDE = 16  # four halvings must leave a pixel


class PerceptualDistance(nn.Module):
    """LPIPS of pairs of images in -1..1, of 16 pixels a side or more. Its weights never train."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict(
            {
                str(at): nn.Conv2d(before, after, 3, padding=1)
                for stage in STAGES
                for at, before, after in stage
            }
        )
        self.heads = nn.ModuleList(nn.Conv2d(stage[-1][2], 1, 1, bias=False) for stage in STAGES)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, a: Float[Tensor, "B 3 H W"], b: Float[Tensor, "B 3 H W"]) -> Float[Tensor, " B"]:
        """One distance a pair."""
        total = a.new_zeros(len(a))
        for head, x, y in zip(self.heads, self._features(a), self._features(b), strict=True):
            total = total + head((_unit(x) - _unit(y)).square()).mean(dim=(1, 2, 3))
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        x = (images - self.shift) / self.scale
        found = []
        for i, stage in enumerate(STAGES):
            if i:
                x = F.max_pool2d(x, 2)
            for at, _, _ in stage:
                x = F.relu(self.features[str(at)](x))
            found.append(x)
        return found


def load_perceptual(files: list[Path]) -> PerceptualDistance:
    """LPIPS with the weights that these files hold together, `.safetensors` or `.pth`.

    Expected: `features.N.weight` and `.bias` (torchvision's vgg16-397923af.pth, whose `classifier.*` is
    left unread) and `linK.model.1.weight` (LPIPS' vgg.pth). `IncompleteData` names what is missing.
    """
    found: dict[str, Tensor] = {}
    for file in files:
        found |= _read(file)
    state = {_renamed(key): tensor for key, tensor in found.items() if not key.startswith("classifier.")}
    model = PerceptualDistance()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        names = ", ".join(map(str, files))
        raise IncompleteData(
            f"perceptual_weights {names}: expected VGG16's `features.*` and LPIPS' `lin*` together; "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    return model.eval()


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise IncompleteData(
            f"{file}: not readable as weights ({' '.join(str(error).split())[:120]}); "
            "check the tokenizer's `perceptual_weights`"
        ) from error
    return dict(content)


def _renamed(key: str) -> str:
    """LPIPS' `lin3.model.1.weight` is `heads.3.weight` here."""
    if key.startswith("lin"):
        return f"heads.{key[3:].removesuffix('.model.1.weight')}.weight"
    return key


def _unit(x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # its gradient at zero is zero
    unit: Tensor = x / (length + 1e-10)
    return unit
