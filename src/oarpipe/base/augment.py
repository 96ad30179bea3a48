"""Small random shifts, rotations and scalings of training images: a function of seed and step."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from oarpipe.base.noise import Stream, uniform

MAX_DEGREES = 8.0
MAX_SHIFT = 0.05  # of the image's side
MAX_SCALE = 0.08


def affine(
    images: Float[Tensor, "B C H W"], seed: int, step: int, *, flip: bool = False
) -> Float[Tensor, "B C H W"]:
    """Each image turned, scaled and shifted a little, bilinearly; the border continues outwards.

    With `flip`, half of the images are mirrored too. Row b of step t always moves the same way.
    """
    batch, _, height, width = images.shape
    row = torch.arange(batch, device=images.device)[:, None]
    item = torch.arange(5, device=images.device)[None, :]
    draw = 2.0 * uniform(seed, Stream.AUGMENT, row, step, item) - 1.0  # [B 5] in -1..1
    angle = draw[:, 0] * math.radians(MAX_DEGREES)
    scale = 1.0 + draw[:, 1] * MAX_SCALE
    mirror = torch.where((draw[:, 4] < 0) & flip, -1.0, 1.0)
    aspect = height / width  # coordinates run from -1 to 1 along both sides
    theta = torch.stack(
        [
            torch.stack([scale * angle.cos() * mirror, -scale * angle.sin() * aspect, 2 * MAX_SHIFT * draw[:, 2]], 1),
            torch.stack([scale * angle.sin() * mirror / aspect, scale * angle.cos(), 2 * MAX_SHIFT * draw[:, 3]], 1),
        ],
        dim=1,
    )  # [B 2 3]
    places = F.affine_grid(theta.to(images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, places, mode="bilinear", padding_mode="border", align_corners=False)
