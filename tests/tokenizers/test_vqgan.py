from typing import Any

import pytest
import torch
from torch.nn import functional as F

from oarpipe.base.grid import Grid
from oarpipe.config.tables import validate_entry
from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.errors import BadInput
from oarpipe.tokenizers.stems import Attention, Downsample, ResidualBlock, Upsample
from oarpipe.tokenizers.vqgan import VQGAN, from_uint8, to_uint8
from tests.tokenizers.anatomies import PATCH, SMALL


def pictures(batch: int = 3, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (batch, 3, side, side), generator=generator).to(torch.uint8)


def small(name: str) -> VQGAN:
    torch.manual_seed(0)
    return VQGAN(SMALL[name]).eval()


@pytest.mark.parametrize("name", SMALL)
def test_codes_are_in_range_and_decode_to_images_of_the_same_size(name: str) -> None:
    model = small(name)
    grid = model.grid(8)
    tokens = model.encode(pictures())
    assert tokens.dtype == torch.int64
    assert tokens.shape == (3, grid.positions)
    assert 0 <= tokens.min() <= tokens.max() < model.codebook
    images = model.decode(tokens, grid)
    assert images.dtype == torch.uint8
    assert images.shape == (3, 3, 8, 8)


@pytest.mark.parametrize("name", SMALL)
def test_using_a_tokenizer_is_its_training_pass(name: str) -> None:
    model = small(name)
    with torch.no_grad():
        reconstructions, _, quantised = model(from_uint8(pictures()))
    tokens = model.encode(pictures())
    assert torch.equal(tokens, quantised.tokens)
    difference = model.decode(tokens, model.grid(8)).int() - to_uint8(reconstructions).int()
    assert difference.abs().max() <= 1  # the straight-through sum rounds once more


def test_with_a_stem_of_pixels_a_patchs_code_and_its_copy_are_its_own() -> None:
    model, images = small("pixels"), pictures(1)
    other = images.clone()
    other[..., :4, 4:] = 255 - other[..., :4, 4:]  # the upper right patch
    codes = model.encode(torch.cat([images, other]))
    assert codes[0, [0, 2, 3]].tolist() == codes[1, [0, 2, 3]].tolist()
    copies = model.decode(torch.tensor([[0, 1, 2, 3], [0, 5, 2, 3]]), model.grid(8))
    has_changed = (copies[0] != copies[1]).any(dim=0)
    assert has_changed[:4, 4:].any()
    assert not has_changed[4:].any()
    assert not has_changed[:, :4].any()


@pytest.mark.parametrize(
    "option", [{"width": 8}, {"multipliers": [1, 2]}, {"blocks": 2}, {"attention": True}]
)
def test_a_stem_of_pixels_has_no_network_to_shape(option: dict[str, Any]) -> None:
    entry = {"kind": "vqgan", "dataset": "d", "stem": "pixels", "train": {"steps": 1}, **option}
    made, problems = validate_entry("tokenizers", "cells", entry)
    assert made is None
    assert f"{next(iter(option))}: a pixels stem has no network between patch and code" in problems[0]


def test_an_images_codes_do_not_depend_on_its_batch() -> None:
    model, images = small("strided with attention"), pictures(5)
    assert torch.equal(model.encode(images)[2:3], model.encode(images[2:3]))


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_weight_through_the_codebook(name: str) -> None:
    model = small(name)
    reconstructions, _, quantised = model(from_uint8(pictures()))
    (reconstructions.square().mean() + quantised.codebook_loss).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None] == []


def test_tokens_are_in_raster_order() -> None:
    """With kernels that see one cell and no norm that mixes them, a changed cell changes its code only."""
    model = small("patch, without residual blocks")
    model.encoder.norm_out = torch.nn.Identity()
    seen = torch.zeros(3, 3)
    seen[1, 1] = 1
    with torch.no_grad():
        for convolution in (m for m in model.encoder.modules() if isinstance(m, torch.nn.Conv2d)):
            convolution.weight.mul_(seen)
        images = pictures(1, side=12)
        changed = images.clone()
        changed[:, :, 4:8, 8:12] = 255 - changed[:, :, 4:8, 8:12]  # cell (1, 2) of 3 x 3
        before, after = (model.quantize.points(model.encodings(from_uint8(x))) for x in (images, changed))
    moved = (before - after).abs().sum(1) > 1e-6
    assert moved.nonzero().flatten().tolist() == [5]


def test_llamagens_anatomy_has_its_71883403_parameters_under_its_names() -> None:
    """Counted by instantiating the published network (LlamaGen VQ-16)."""
    anatomy = VQGANAnatomy(
        kind="vqgan",
        stem="strided",
        factor=16,
        width=128,
        multipliers=[1, 1, 2, 2, 4],
        blocks=2,
        attention=True,
        code_dim=8,
        codebook=16384,
    )
    with torch.device("meta"):
        model = VQGAN(anatomy)
    state = model.state_dict()
    assert sum(p.numel() for p in model.encoder.parameters()) == 29_298_176
    assert sum(p.numel() for p in model.decoder.parameters()) == 42_449_795
    assert sum(p.numel() for p in model.parameters()) == 71_883_403
    assert len(state) == 344 - 1  # the published file holds a buffer of used codes besides
    shapes = {
        "encoder.conv_in.weight": (128, 3, 3, 3),
        "encoder.conv_blocks.2.res.0.nin_shortcut.weight": (256, 128, 1, 1),
        "encoder.conv_blocks.4.attn.1.proj_out.weight": (512, 512, 1, 1),
        "encoder.conv_blocks.3.downsample.conv.weight": (256, 256, 3, 3),
        "encoder.mid.1.q.weight": (512, 512, 1, 1),
        "encoder.conv_out.weight": (256, 512, 3, 3),
        "decoder.conv_in.weight": (512, 256, 3, 3),
        "decoder.conv_blocks.0.attn.2.norm.weight": (512,),
        "decoder.conv_blocks.1.res.0.nin_shortcut.weight": (256, 512, 1, 1),
        "decoder.conv_blocks.3.res.0.nin_shortcut.weight": (128, 256, 1, 1),
        "decoder.conv_blocks.3.upsample.conv.weight": (128, 128, 3, 3),
        "decoder.conv_out.weight": (3, 128, 3, 3),
        "quantize.embedding.weight": (16384, 8),
        "quant_conv.weight": (8, 256, 1, 1),
        "post_quant_conv.weight": (256, 8, 1, 1),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_attention_is_softmax_of_scaled_products_written_out() -> None:
    torch.manual_seed(0)
    block = Attention(4).double()
    x = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    h = F.group_norm(x, 4, block.norm.weight, block.norm.bias, eps=1e-6)
    q, k, v = (p(h).flatten(2) for p in (block.q, block.k, block.v))  # [B C N]
    weights = torch.einsum("bcn,bcm->bnm", q, k).mul(4**-0.5).softmax(2)
    mixed = torch.einsum("bnm,bcm->bcn", weights, v).view_as(x)
    torch.testing.assert_close(block(x), x + block.proj_out(mixed))


def test_blocks_change_width_and_resolution_as_they_say() -> None:
    x = torch.randn(2, 4, 6, 6)
    assert ResidualBlock(4, 8)(x).shape == (2, 8, 6, 6)
    assert Downsample(4)(x).shape == (2, 4, 3, 3)
    assert Upsample(4)(x).shape == (2, 4, 12, 12)


def test_an_image_that_does_not_divide_is_refused_with_the_key_to_change() -> None:
    with pytest.raises(BadInput, match=r"10 pixels: expected a multiple of 4, the tokenizer's `factor`"):
        VQGAN(PATCH).grid(10)
    assert VQGAN(PATCH).grid(24) == Grid(6, 6)


def test_a_strided_stem_whose_factor_is_not_its_levels_is_a_configuration_error() -> None:
    raw = {
        "kind": "vqgan",
        "dataset": "digits",
        "stem": "strided",
        "factor": 8,
        "multipliers": [1, 2],
        "train": {"steps": 1},
    }
    entry, problems = validate_entry("tokenizers", "vq", raw)
    assert entry is None
    assert "a strided stem with 2 multipliers has factor 2, got factor 8" in problems[0]


def test_bytes_survive_the_way_to_floats_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    floats = from_uint8(every)
    assert floats.min() == -1
    assert floats.max() == 1
    assert torch.equal(to_uint8(floats), every)
