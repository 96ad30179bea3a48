"""The critic of a VQGAN: PatchGAN (Isola et al. 2017), one verdict for each patch of an image."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from oarpipe.base.distributed import world
from oarpipe.base.sums import summed


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
            blocks.append(nn.Sequential(convolution, BatchNorm(after), nn.LeakyReLU(0.2)))
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


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, of which each process may have a part."""

    def forward(self, input: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        if world().size == 1 or not self.training:
            return super().forward(input)
        x = input if input.dtype == torch.float64 else input.float()
        count = summed(x.new_tensor(x.numel() // x.shape[1]))
        mean = summed(x.sum((0, 2, 3))) / count
        centred = x - mean[:, None, None]
        variance = summed(centred.square().sum((0, 2, 3))) / count
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        self._remember(mean.detach(), (variance * count / (count - 1)).detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)

    def _remember(self, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
        """What `nn.BatchNorm2d` keeps of each batch."""
        kept = self.running_mean, self.running_var
        for running, latest in zip(kept, (mean, variance), strict=True):
            assert running is not None
            running.lerp_(latest.to(running.dtype), self.momentum or 0.0)


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
