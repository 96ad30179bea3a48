"""MaskGIT's VQGAN (Chang et al. 2022), as the PyTorch port that RandAR uses has it.

It shares a lineage with the other VQGANs and differs in every detail: no attention, hardly a bias,
pooling instead of strided convolutions, images in 0..1, and a shortcut that forgets its input. Modules
are named as in the published file. TensorFlow's "SAME" padding is one pixel all round at these strides.
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int, UInt8
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from oarpipe.base.grid import Grid
from oarpipe.config.base import Strict
from oarpipe.tokenizers.protocol import ImageTokenizer, square_grid
from oarpipe.tokenizers.quantize import VectorQuantizer


class MaskGITAnatomy(Strict):
    """What a MaskGIT-VQGAN is built of; written beside its weights."""

    kind: Literal["maskgit"] = "maskgit"
    width: int = Field(128, ge=32, multiple_of=32)
    multipliers: list[Annotated[int, Field(ge=1)]] = Field([1, 1, 2, 2, 4], min_length=1)
    blocks: int = Field(2, ge=1)
    code_dim: int = Field(256, ge=1)
    codebook: int = Field(1024, ge=2)

    @property
    def factor(self) -> int:
        """Pixels a token, along each side."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def widths(self) -> list[int]:
        """Channels by level, from high resolution to low."""
        return [self.width * m for m in self.multipliers]


class MaskGITVQGAN(ImageTokenizer):
    """Published weights for use; it is not trained here."""

    def __init__(self, anatomy: MaskGITAnatomy) -> None:
        super().__init__()
        self.anatomy = anatomy
        self.codebook = anatomy.codebook
        self.encoder = Encoder(anatomy)
        self.decoder = Decoder(anatomy)
        self.quantize = VectorQuantizer(anatomy.codebook, anatomy.code_dim, normalise=False)

    def grid(self, resolution: int) -> Grid:
        return square_grid(resolution, self.anatomy.factor)

    @torch.no_grad()
    def encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        return self.tokens_of(images.to(self.device).float() / 255.0)

    @torch.no_grad()
    def decode(self, tokens: Int[Tensor, "B N"], grid: Grid) -> UInt8[Tensor, "B 3 H W"]:
        return (self.images_of(tokens, grid) * 255.0).round().to(torch.uint8)

    def tokens_of(self, images: Float[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        """The codes of images in 0..1."""
        return self.quantize.nearest(self.quantize.points(self.encoder(images))).view(len(images), -1)

    def images_of(self, tokens: Int[Tensor, "B N"], grid: Grid) -> Float[Tensor, "B 3 H W"]:
        """The images that the codes stand for, clamped to 0..1."""
        codes = self.quantize.rows()[tokens.to(self.device)]  # [B N D]
        latents = codes.transpose(1, 2).unflatten(2, (grid.height, grid.width))  # [B D h w]
        out: Tensor = self.decoder(latents).clamp(0.0, 1.0)
        return out

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.quantize.embedding.weight.device


class Encoder(nn.Module):
    """Images in 0..1 to vectors of the codebook's length; levels from high resolution to low."""

    def __init__(self, anatomy: MaskGITAnatomy) -> None:
        super().__init__()
        widths = anatomy.widths
        self.conv_in = _conv(3, anatomy.width, bias=False)
        self.down = nn.ModuleList(
            Level(before, after, anatomy.blocks) for before, after in pairwise([anatomy.width, *widths])
        )
        self.mid = _middle(widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], anatomy.code_dim, 1)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        x = self.conv_in(images)
        for number, level in enumerate(self.down):
            x = level(x if number == 0 else F.avg_pool2d(x, 2))
        x = self.mid(x)  # [B C h w]
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


class Decoder(nn.Module):
    """The encoder mirrored; `up` is numbered from high resolution and carried out from low."""

    def __init__(self, anatomy: MaskGITAnatomy) -> None:
        super().__init__()
        widths = anatomy.widths
        self.conv_in = _conv(anatomy.code_dim, widths[-1])
        self.mid = _middle(widths[-1])
        self.up = nn.ModuleList(
            Level(before, after, anatomy.blocks)
            for after, before in zip(widths, [*widths[1:], widths[-1]], strict=True)
        )
        for level, width in zip(self.up[1:], widths[1:], strict=True):
            level.upsample_conv = _conv(width, width)
        self.norm_out = _norm(widths[0])
        self.conv_out = _conv(widths[0], 3)

    def forward(self, latents: Float[Tensor, "B D h w"]) -> Float[Tensor, "B 3 H W"]:
        x = self.mid(self.conv_in(latents))  # [B C h w]
        for level in reversed(self.up):
            x = level(x)
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))  # [B 3 H W]
        return out


class Level(nn.Module):
    """Residual blocks at one resolution; then, in the decoder, twice the resolution and a convolution."""

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        self.block = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))
        self.upsample_conv: nn.Module | None = None

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        x = self.block(x)
        if self.upsample_conv is not None:
            x = self.upsample_conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


class ResidualBlock(nn.Module):
    """x + g(x); but where the width changes, g(x) + W g(x): the published network forgets x there.

    Its shortcut is a 1x1 convolution of the branch's own output. The weights were trained so.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = _conv(inputs, outputs, bias=False)
        self.norm2 = _norm(outputs)
        self.conv2 = _conv(outputs, outputs, bias=False)
        self.widens = inputs != outputs
        if self.widens:
            self.nin_shortcut = nn.Conv2d(outputs, outputs, 1, bias=False)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        branch = self.conv1(F.silu(self.norm1(x)))
        branch = self.conv2(F.silu(self.norm2(branch)))
        out: Tensor = branch + (self.nin_shortcut(branch) if self.widens else x)
        return out


def _middle(width: int) -> nn.Sequential:
    return nn.Sequential(ResidualBlock(width, width), ResidualBlock(width, width))


def _conv(inputs: int, outputs: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)
