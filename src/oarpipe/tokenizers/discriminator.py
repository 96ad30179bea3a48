"""The critic of a VQGAN: PatchGAN (Isola et al. 2017), one verdict for each patch of an image."""

from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


class Verdict(NamedTuple):
    """One logit a patch (positive: looks real), and the hidden features that led to it."""

    logits: Float[Tensor, "B 1 h w"]
    features: list[Tensor]


class PatchDiscriminator(nn.Module):
    """`layers` strided 4x4 convolutions and one more that is not, each doubling the channels up to 8-fold.

    Batch normalisation after all but the first, convolutions initialised N(0, 0.02) and norms
    N(1, 0.02), as in taming-transformers and LlamaGen.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        widths = [channels * min(2**i, 8) for i in range(layers + 1)]
        blocks = [nn.Sequential(nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(0.2))]
        for i, (before, after) in enumerate(pairwise(widths), start=1):
            stride = 2 if i < layers else 1
            convolution = nn.Conv2d(before, after, 4, stride=stride, padding=1, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.2)))
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.apply(_initialise)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Verdict:
        """Judges images in -1..1."""
        features: list[Tensor] = []
        x = images
        for block in self.blocks:
            x = block(x)  # half the resolution, but for the last
            features.append(x)
        return Verdict(self.head(x), features)


def smallest_side(layers: int) -> int:
    """The smallest image that still gets a verdict, in pixels a side."""
    return 3 << layers


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
