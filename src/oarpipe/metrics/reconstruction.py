"""How well images survive the tokenizer, and how well its codebook is used: values in, numbers out."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

MAX_PSNR = 100.0  # what equal images count as, in dB, so that a mean stays finite
# Wang et al. 2004: an 11x11 Gaussian window of 1.5 pixels, and the two small constants.
WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def psnr(a: UInt8[Tensor, "B C H W"], b: UInt8[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Peak signal-to-noise ratio of each pair, in dB, at most 100."""
    error = (a.double() - b.double()).square().mean(dim=(1, 2, 3))
    return (20.0 * torch.log10(255.0 / error.sqrt())).clamp(max=MAX_PSNR)


def ssim(a: UInt8[Tensor, "B C H W"], b: UInt8[Tensor, "B C H W"]) -> Float[Tensor, " B"]:
    """Structural similarity of each pair, at most 1: the mean over channels and whole windows.

    Images of less than 11 pixels a side are seen through a smaller window, of the largest odd side that fits.
    """
    x, y = a.double(), b.double()
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x.square()
    variance_y = _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (K1 * 255.0) ** 2, (K2 * 255.0) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def code_usage(tokens: Int[Tensor, "*S"], codebook: int) -> float:
    """The share of the codebook that occurs among the tokens."""
    return float((_counts(tokens, codebook) > 0).double().mean())


def code_perplexity(tokens: Int[Tensor, "*S"], codebook: int) -> float:
    """exp(entropy) of the codes' frequencies: between 1 and the size of the codebook."""
    counts = _counts(tokens, codebook)
    shares = counts[counts > 0] / counts.sum()
    return float(torch.exp(-(shares * shares.log()).sum()))


def _counts(tokens: Tensor, codebook: int) -> Tensor:
    return torch.bincount(tokens.flatten(), minlength=codebook).double()


def _blur(images: Tensor) -> Tensor:
    """The Gaussian mean of every window that lies wholly inside the image."""
    smallest = min(WINDOW, *images.shape[-2:])
    side = smallest - 1 + smallest % 2
    distance = torch.arange(side, dtype=images.dtype, device=images.device) - side // 2
    weights = torch.exp(-distance.square() / (2 * SIGMA**2))
    weights = weights / weights.sum()
    flat = images.flatten(0, 1)[:, None]  # [B*C 1 H W]
    flat = F.conv2d(flat, weights.view(1, 1, 1, side))
    flat = F.conv2d(flat, weights.view(1, 1, side, 1))
    blurred: Tensor = flat.unflatten(0, images.shape[:2])
    return blurred[:, :, 0]
