"""The convolutions of a VQGAN, encoder and decoder, in two anatomies; the third, `pixels`, has none.

`strided` is LlamaGen's pyramid (Sun et al. 2024): residual blocks at every resolution, strided
convolutions between. `patch` unshuffles the pixels first and works at token resolution only, which is
far cheaper on small images. Modules are named as in LlamaGen's released weights.
"""

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from oarpipe.config.tokenizers import VQGANAnatomy


class Encoder(nn.Module):
    """Images in -1..1 to `latent_channels` at token resolution."""

    def __init__(self, anatomy: VQGANAnatomy) -> None:
        super().__init__()
        widths = [anatomy.width * m for m in anatomy.multipliers]
        inputs = [anatomy.width, *widths[:-1]]
        is_patch = anatomy.stem == "patch"
        self.unshuffle = nn.PixelUnshuffle(anatomy.factor if is_patch else 1)
        self.conv_in = _conv(3 * anatomy.factor**2 if is_patch else 3, anatomy.width)
        self.conv_blocks = nn.ModuleList()
        for level, (before, after) in enumerate(zip(inputs, widths, strict=True)):
            is_last = level == len(widths) - 1
            block = Level(before, after, anatomy.blocks, attention=anatomy.attention and is_last)
            if not is_patch and not is_last:
                block.downsample = Downsample(after)
            self.conv_blocks.append(block)
        self.mid = _middle(anatomy, widths[-1])
        self.norm_out = _norm(widths[-1])
        self.conv_out = _conv(widths[-1], latent_channels(anatomy))

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        x = self.conv_in(self.unshuffle(images))  # [B C H W], or [B C h w] for patches
        for block in (*self.conv_blocks, *self.mid):
            x = block(x)  # [B C h w]
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


class Decoder(nn.Module):
    """The encoder mirrored; where it is strided, each level has one residual block more, as LlamaGen's."""

    def __init__(self, anatomy: VQGANAnatomy) -> None:
        super().__init__()
        widths = [anatomy.width * m for m in reversed(anatomy.multipliers)]
        inputs = [widths[0], *widths[:-1]]
        is_patch = anatomy.stem == "patch"
        self.conv_in = _conv(latent_channels(anatomy), widths[0])
        self.mid = _middle(anatomy, widths[0])
        self.conv_blocks = nn.ModuleList()
        for level, (before, after) in enumerate(zip(inputs, widths, strict=True)):
            blocks = anatomy.blocks if is_patch else anatomy.blocks + 1
            block = Level(before, after, blocks, attention=anatomy.attention and level == 0)
            if not is_patch and level < len(widths) - 1:
                block.upsample = Upsample(after)
            self.conv_blocks.append(block)
        self.norm_out = _norm(widths[-1])
        self.conv_out = _conv(widths[-1], 3 * anatomy.factor**2 if is_patch else 3)
        self.shuffle = nn.PixelShuffle(anatomy.factor if is_patch else 1)

    def forward(self, latents: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        x = self.conv_in(latents)  # [B C h w]
        for block in (*self.mid, *self.conv_blocks):
            x = block(x)  # [B C H W], or [B C h w] for patches
        out: Tensor = self.shuffle(self.conv_out(F.silu(self.norm_out(x))))
        return out


def latent_channels(anatomy: VQGANAnatomy) -> int:
    """Channels between the convolutions and the 1x1 projections to a code: 256 for LlamaGen's width 128."""
    if anatomy.stem == "pixels":
        return 3 * anatomy.factor**2
    return anatomy.width if anatomy.stem == "patch" else 2 * anatomy.width


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention if asked for, then the change of it."""

    def __init__(self, inputs: int, outputs: int, blocks: int, *, attention: bool) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * blocks
        # Without residual blocks a level of another width would be impossible; a convolution bridges it.
        self.bridge = _conv(inputs, outputs) if blocks == 0 and inputs != outputs else nn.Identity()
        self.res = nn.ModuleList(ResidualBlock(a, b) for a, b in pairwise(widths))
        self.attn = nn.ModuleList(Attention(outputs) for _ in range(blocks if attention else 0))
        self.downsample: nn.Module = nn.Identity()
        self.upsample: nn.Module = nn.Identity()

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        x = self.bridge(x)
        for i, block in enumerate(self.res):
            x = block(x)
            if len(self.attn):
                x = self.attn[i](x)
        out: Tensor = self.upsample(self.downsample(x))
        return out


class ResidualBlock(nn.Module):
    """x + conv(swish(norm(conv(swish(norm(x)))))), with a 1x1 shortcut where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = _norm(inputs)
        self.conv1 = _conv(inputs, outputs)
        self.norm2 = _norm(outputs)
        self.conv2 = _conv(outputs, outputs)
        self.nin_shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D H W"]:
        branch = self.conv1(F.silu(self.norm1(x)))
        branch = self.conv2(F.silu(self.norm2(branch)))
        out: Tensor = self.nin_shortcut(x) + branch
        return out


class Attention(nn.Module):
    """Single-head self-attention over the grid, with 1x1 convolutions as projections."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q = nn.Conv2d(channels, channels, 1)
        self.k = nn.Conv2d(channels, channels, 1)
        self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        h = self.norm(x)
        q, k, v = (p(h).flatten(2).transpose(1, 2) for p in (self.q, self.k, self.v))  # [B HW C]
        mixed = F.scaled_dot_product_attention(q, k, v)  # scale C^-0.5
        out: Tensor = x + self.proj_out(mixed.transpose(1, 2).reshape(x.shape))
        return out


class Downsample(nn.Module):
    """Half the resolution: a strided 3x3 convolution after one row and column of zeros, right and below."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C h w"]:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    """Twice the resolution: nearest neighbours, then a 3x3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


def _middle(anatomy: VQGANAnatomy, width: int) -> nn.ModuleList:
    """Between the pyramid and the codes: residual, attention, residual. Patches do without."""
    if anatomy.stem == "patch":
        return nn.ModuleList()
    attention = [Attention(width)] if anatomy.attention else []
    return nn.ModuleList([ResidualBlock(width, width), *attention, ResidualBlock(width, width)])


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-6)
