"""What an order is worth in nats: cross-entropies from tables of log-probabilities (paper Eqs. 3-5).

A table holds, for each sample, the log-probability that a model gave the true token at each step of a
walk with the Teacher; it comes from `decoding`, and no model is needed here.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def token_nll(log_probs: Float[Tensor, "B N"]) -> Float[Tensor, " B"]:
    """Mean negative log-likelihood per token of each sample, in nats."""
    return -log_probs.double().mean(dim=1)


def cross_entropy(log_probs: Float[Tensor, "B N"]) -> float:
    """Cross-entropy of a whole image, in nats: summed over its tokens, averaged over samples (Eq. 4)."""
    return float(-log_probs.double().sum(dim=1).mean())


@dataclass(frozen=True)
class InformationGain:
    """V-information that a specialised order makes usable beyond raster's, in nats an image (Eq. 5)."""

    raster: float
    specialised: float

    @property
    def gain(self) -> float:
        """Positive where the specialised order leaves less to be explained."""
        return self.raster - self.specialised


def information_gain(raster: Float[Tensor, "B N"], specialised: Float[Tensor, "B N"]) -> InformationGain:
    """The gain over all samples; both tables are of the same samples, each under its own model.

    The unconditional term of V-information (Eq. 3) is common to both orders and cancels.
    """
    return InformationGain(cross_entropy(raster), cross_entropy(specialised))


def information_gain_by_class(
    raster: Float[Tensor, "B N"], specialised: Float[Tensor, "B N"], labels: torch.Tensor
) -> dict[int, InformationGain]:
    """The gain within each class that occurs."""
    return {
        label: information_gain(raster[labels == label], specialised[labels == label])
        for label in sorted(set(labels.tolist()))
    }
