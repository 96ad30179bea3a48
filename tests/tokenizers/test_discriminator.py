import pytest
import torch

from oarpipe.tokenizers.discriminator import PatchDiscriminator, smallest_side


def test_the_published_size_of_three_layers_and_64_channels() -> None:
    """4x4 kernels, each with its bias or its norm; 30 x 30 verdicts on 256 pixels (Isola et al. 2017)."""
    model = PatchDiscriminator(64, 3)
    expected = 3 * 64 * 16 + 64 + sum(a * b * 16 + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
    assert sum(p.numel() for p in model.parameters()) == expected + 512 * 16 + 1
    assert model(torch.zeros(1, 3, 256, 256)).logits.shape == (1, 1, 30, 30)


def test_a_verdict_sees_a_patch_of_70_pixels_and_no_more() -> None:
    model = PatchDiscriminator(4, 3).eval()
    images = torch.zeros(1, 3, 160, 160, requires_grad=True)
    model(images).logits[0, 0, 9, 9].backward()
    assert images.grad is not None
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_smallest_image_gets_one_verdict_and_a_smaller_one_none(layers: int) -> None:
    model, side = PatchDiscriminator(4, layers).eval(), smallest_side(layers)
    assert model(torch.zeros(1, 3, side, side)).logits.shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, 3, side - 1, side - 1))


def test_features_are_those_of_every_hidden_layer() -> None:
    features = PatchDiscriminator(4, 2)(torch.zeros(2, 3, 24, 24)).features
    assert [tuple(f.shape) for f in features] == [(2, 4, 12, 12), (2, 8, 6, 6), (2, 16, 5, 5)]
