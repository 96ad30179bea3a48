"""The losses of a VQGAN besides those of its codebook: pixels, and both sides of the critic."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from oarpipe.base.sums import summed
from oarpipe.tokenizers.discriminator import Verdict

MAX_ADAPTIVE_WEIGHT = 1e4  # Esser et al. 2021, taming-transformers


def pixel_loss(
    kind: Literal["l1", "l2"], reconstructions: Float[Tensor, "B 3 H W"], images: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, ""]:
    """Mean absolute or squared difference."""
    distance = F.l1_loss if kind == "l1" else F.mse_loss
    return distance(reconstructions, images)


def critic_loss(real: Float[Tensor, "B 1 h w"], fake: Float[Tensor, "B 1 h w"]) -> Float[Tensor, ""]:
    """Half the hinge loss on real and reconstructed images."""
    return 0.5 * (F.relu(1.0 - real).mean() + F.relu(1.0 + fake).mean())


def generator_loss(fake: Float[Tensor, "B 1 h w"]) -> Float[Tensor, ""]:
    """What the generator wants: verdicts as high as possible."""
    return -fake.mean()


def feature_matching_loss(real: Verdict, fake: Verdict) -> Float[Tensor, ""]:
    """Mean absolute difference of the critic's hidden features (Wang et al. 2018, pix2pixHD)."""
    pairs = zip(real.features, fake.features, strict=True)
    return torch.stack([F.l1_loss(b, a.detach()) for a, b in pairs]).mean()


def adaptive_weight(
    reconstruction: Float[Tensor, ""], adversarial: Float[Tensor, ""], last_layer: Tensor
) -> Float[Tensor, ""]:
    """|grad reconstruction| / (|grad adversarial| + 1e-4) at the last layer (Esser et al. 2021, Eq. 7).

    Of several processes each gives its share of the two losses.
    """
    (wanted,) = torch.autograd.grad(reconstruction, last_layer, retain_graph=True)
    (given,) = torch.autograd.grad(adversarial, last_layer, retain_graph=True)
    ratio: Tensor = summed(wanted).norm() / (summed(given).norm() + 1e-4)
    return ratio.clamp(0.0, MAX_ADAPTIVE_WEIGHT).detach()
