"""Small random changes of training images: functions of seed and step, so a killed run repeats them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from oarpipe.base.noise import Stream, uniform

MAX_DEGREES = 8.0
MAX_SHIFT = 0.05  # of the image's side
MAX_SCALE = 0.08


def affine(images: Float[Tensor, "B C H W"], seed: int, step: int) -> Float[Tensor, "B C H W"]:
    """Each image turned, scaled and shifted a little, bilinearly; its border continues outwards."""
    batch, _, height, width = images.shape
    angle, zoom, right, down = _draws(batch, seed, step, images.device)[:, :4].unbind(1)  # [B] in -1..1
    angle = angle * math.radians(MAX_DEGREES)
    scale = 1.0 + zoom * MAX_SCALE
    aspect = height / width  # coordinates run from -1 to 1 along either side
    across = torch.stack([scale * angle.cos(), -scale * angle.sin() * aspect, 2 * MAX_SHIFT * right], dim=1)
    along = torch.stack([scale * angle.sin() / aspect, scale * angle.cos(), 2 * MAX_SHIFT * down], dim=1)
    theta = torch.stack([across, along], dim=1).to(images.dtype)  # [B 2 3]
    places = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)


def mirrored(images: Float[Tensor, "B C H W"], seed: int, step: int) -> Float[Tensor, "B C H W"]:
    """Half of the images, drawn at random, with left and right exchanged."""
    is_chosen = _draws(len(images), seed, step, images.device)[:, 4] < 0
    return torch.where(is_chosen[:, None, None, None], images.flip(3), images)


def _draws(batch: int, seed: int, step: int, device: torch.device) -> Float[Tensor, "B 5"]:
    """Uniform in -1..1, the same for row b of step t always: four for `affine`, a fifth for `mirrored`."""
    row = torch.arange(batch, device=device)[:, None]
    item = torch.arange(5, device=device)[None, :]
    return 2.0 * uniform(seed, Stream.AUGMENT, row, step, item) - 1.0
