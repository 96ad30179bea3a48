"""What the two sides of a VQGAN minimise (Esser et al. 2021, Eqs. 4-7), weighted as a recipe says."""

from jaxtyping import Float
from torch import Tensor

from oarpipe.config.tokenizers import AdversarialConfig, VQGANConfig
from oarpipe.tokenizers.discriminator import PatchDiscriminator, Verdict
from oarpipe.tokenizers.losses import (
    adaptive_weight,
    critic_loss,
    feature_matching_loss,
    generator_loss,
    pixel_loss,
)
from oarpipe.tokenizers.perceptual import PerceptualDistance
from oarpipe.tokenizers.quantize import Quantised


def generator_losses(
    config: VQGANConfig,
    images: Float[Tensor, "B 3 H W"],
    reconstructions: Float[Tensor, "B 3 H W"],
    quantised: Quantised,
    *,
    perceptual: PerceptualDistance | None,
    critic: PatchDiscriminator | None,
    last_layer: Tensor,
    share: float = 1.0,
) -> dict[str, Float[Tensor, ""]]:
    """`loss`, the weighted sum that the generator minimises, and its unweighted parts by name.

    Without a critic (none in the recipe, or not yet its turn) the adversarial parts are left out. `share`
    is how much of the images that are judged together these are; other processes have the others.
    """
    parts = {
        "pixel": pixel_loss(config.pixel_loss, reconstructions, images),
        "codebook": quantised.codebook_loss,
        "commitment": quantised.commitment_loss,
    }
    likeness = parts["pixel"]
    if perceptual is not None:
        parts["perceptual"] = perceptual(reconstructions, images).mean()
        likeness = likeness + config.perceptual * parts["perceptual"]
    loss = likeness + parts["codebook"] + config.commitment * parts["commitment"]
    if critic is not None and config.adversarial is not None:
        added, opinion = _critic_opinion(
            config.adversarial, critic, images, reconstructions, likeness, last_layer, share
        )
        loss, parts = loss + added, parts | opinion
    return {"loss": loss, **parts}


def critic_step_loss(
    critic: PatchDiscriminator, images: Float[Tensor, "B 3 H W"], reconstructions: Float[Tensor, "B 3 H W"]
) -> Float[Tensor, ""]:
    """The critic's hinge loss on images and their reconstructions, which get no gradient."""
    return critic_loss(critic(images).logits, critic(reconstructions.detach()).logits)


def _critic_opinion(
    config: AdversarialConfig,
    critic: PatchDiscriminator,
    images: Tensor,
    reconstructions: Tensor,
    likeness: Tensor,
    last_layer: Tensor,
    share: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """What the critic adds to the generator's loss. Its own weights get no gradient from it."""
    critic.requires_grad_(False)
    fake: Verdict = critic(reconstructions)
    parts = {"generator": generator_loss(fake.logits)}
    weight = config.weight * fake.logits.new_ones(())
    if config.adaptive:
        weight = weight * adaptive_weight(likeness * share, parts["generator"] * share, last_layer)
    loss = weight * parts["generator"]
    if config.feature_matching:
        parts["feature_matching"] = feature_matching_loss(critic(images), fake)
        loss = loss + config.feature_matching * parts["feature_matching"]
    critic.requires_grad_(True)
    return loss, parts | {"adversarial_weight": weight}
