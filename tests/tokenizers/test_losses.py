import pytest
import torch
from torch import nn

from oarpipe.tokenizers.discriminator import Verdict
from oarpipe.tokenizers.losses import (
    MAX_ADAPTIVE_WEIGHT,
    adaptive_weight,
    critic_loss,
    feature_matching_loss,
    generator_loss,
    pixel_loss,
)


def verdict(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, 1, 1, -1)


def test_the_critics_hinge_by_hand() -> None:
    real, fake = verdict(2.0, 0.5), verdict(-2.0, 0.5)
    # real: max(0, 1-2) = 0 and max(0, 1-0.5) = 0.5; fake: max(0, 1-2) = 0 and max(0, 1+0.5) = 1.5
    assert critic_loss(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.75))


def test_a_sure_and_right_critic_has_no_loss_and_the_generator_wants_high_verdicts() -> None:
    assert critic_loss(verdict(1.0, 5.0), verdict(-1.0, -5.0)).item() == 0.0
    assert generator_loss(verdict(1.0, 3.0)).item() == -2.0


def test_pixel_losses_by_hand() -> None:
    a, b = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    assert pixel_loss("l1", b, a).item() == 0.5
    assert pixel_loss("l2", b, a).item() == 0.25


def test_feature_matching_is_the_mean_difference_over_layers_and_pulls_on_the_fake_side_only() -> None:
    real = [torch.zeros(1, 2, 2, 2, requires_grad=True), torch.zeros(1, 4, 1, 1, requires_grad=True)]
    fake = [torch.ones(1, 2, 2, 2, requires_grad=True), torch.full((1, 4, 1, 1), 3.0, requires_grad=True)]
    loss = feature_matching_loss(Verdict(verdict(0.0), real), Verdict(verdict(0.0), fake))
    assert loss.item() == 2.0
    loss.backward()
    assert real[0].grad is None
    assert fake[0].grad is not None


def test_the_adaptive_weight_is_the_ratio_of_gradient_norms_at_the_last_layer() -> None:
    layer = nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    reconstruction, adversarial = 6 * (layer * layer).sum() / 2, layer.sum()
    weight = adaptive_weight(reconstruction, adversarial, layer)
    assert weight.item() == pytest.approx(6 * 5.0 / (2**0.5 + 1e-4))
    assert not weight.requires_grad
    assert adaptive_weight(reconstruction, 0 * adversarial, layer).item() == MAX_ADAPTIVE_WEIGHT
