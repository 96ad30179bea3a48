"""Small random changes of training images: functions of seed and step, so a killed run repeats them."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from oarpipe.base.noise import Stream, uniform

MAX_DEGREES = 8.0
MAX_SHIFT = 0.05  # of the image's side
MAX_SCALE = 0.08


def affine(
    images: Float[Tensor, "B C H W"], seed: int, step: int, rows: Int[Tensor, " B"] | None = None
) -> Float[Tensor, "B C H W"]:
    """Each image turned, scaled and shifted a little, bilinearly; its border continues outwards.

    `rows` are the images' places in the step's batch, of which they may be a part.
    """
    height, width = images.shape[2:]
    angle, zoom, right, down = _draws(images, seed, step, rows)[:, :4].unbind(1)  # [B] in -1..1
    angle = angle * math.radians(MAX_DEGREES)
    scale = 1.0 + zoom * MAX_SCALE
    aspect = height / width  # coordinates run from -1 to 1 along either side
    across = torch.stack([scale * angle.cos(), -scale * angle.sin() * aspect, 2 * MAX_SHIFT * right], dim=1)
    along = torch.stack([scale * angle.sin() / aspect, scale * angle.cos(), 2 * MAX_SHIFT * down], dim=1)
    theta = torch.stack([across, along], dim=1).to(images.dtype)  # [B 2 3]
    places = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)


def mirrored(
    images: Float[Tensor, "B C H W"], seed: int, step: int, rows: Int[Tensor, " B"] | None = None
) -> Float[Tensor, "B C H W"]:
    """Half of the images, drawn at random, with left and right exchanged; `rows` as in `affine`."""
    is_chosen = _draws(images, seed, step, rows)[:, 4] < 0
    return torch.where(is_chosen[:, None, None, None], images.flip(3), images)


def _draws(images: Tensor, seed: int, step: int, rows: Tensor | None) -> Float[Tensor, "B 5"]:
    """Uniform in -1..1, the same for row b of step t always: four for `affine`, a fifth for `mirrored`."""
    row = torch.arange(len(images)) if rows is None else rows
    item = torch.arange(5, device=images.device)[None, :]
    return 2.0 * uniform(seed, Stream.AUGMENT, row.to(images.device)[:, None], step, item) - 1.0
