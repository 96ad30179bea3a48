"""The closed forms of the tokenizers' arithmetic, against torch's counter and the networks themselves."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oarpipe.config.tokenizers import AdversarialConfig, VQGANAnatomy, VQGANConfig
from oarpipe.tokenizers import flops
from oarpipe.tokenizers.discriminator import PatchDiscriminator
from oarpipe.tokenizers.maskgit import MaskGITAnatomy, MaskGITVQGAN
from oarpipe.tokenizers.perceptual import PerceptualDistance
from oarpipe.tokenizers.protocol import ImageTokenizer
from oarpipe.tokenizers.vqgan import VQGAN
from oarpipe.training.gan_objective import critic_step_loss, generator_losses

LLAMAGEN = VQGANAnatomy(
    kind="vqgan", stem="strided", factor=16, width=128, multipliers=[1, 1, 2, 2, 4], blocks=2,
    attention=True, code_dim=8, codebook=16384,
)  # fmt: skip
ANATOMIES: list[dict[str, Any]] = [
    {"stem": "patch", "factor": 4, "width": 8, "multipliers": [1], "blocks": 1},
    {"stem": "patch", "factor": 8, "width": 8, "multipliers": [1, 2], "blocks": 0},
    {"stem": "patch", "factor": 4, "width": 8, "multipliers": [1, 2], "blocks": 2, "attention": True},
    {"stem": "strided", "factor": 4, "width": 8, "multipliers": [1, 2, 4], "blocks": 1},
    {"stem": "strided", "factor": 4, "width": 8, "multipliers": [1, 1, 2], "blocks": 2, "attention": True},
    {"stem": "pixels", "factor": 4},
]


def counted(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def both_ways(tokenizer: ImageTokenizer, resolution: int) -> tuple[int, int]:
    images = torch.zeros(1, 3, resolution, resolution, dtype=torch.uint8)
    grid = tokenizer.grid(resolution)
    tokens = torch.zeros(1, grid.positions, dtype=torch.int64)
    return counted(lambda: tokenizer.encode(images)), counted(lambda: tokenizer.decode(tokens, grid))


def matrices(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.ndim > 1)


@pytest.mark.parametrize("options", ANATOMIES)
def test_a_vqgan_asks_for_what_the_counter_sees(options: dict[str, Any]) -> None:
    anatomy = VQGANAnatomy(kind="vqgan", code_dim=4, codebook=32, **options)
    network = VQGAN(anatomy)
    encode, decode = both_ways(network, 32)
    assert flops.flops(flops.encoder(anatomy, 32)) == encode
    assert flops.flops(flops.decoder(anatomy, 32)) == decode
    layers = [*flops.encoder(anatomy, 32), *flops.decoder(anatomy, 32)]
    assert flops.weights(layers) == matrices(network)


def test_maskgits_vqgan_asks_for_what_the_counter_sees() -> None:
    network = MaskGITVQGAN(MaskGITAnatomy())
    encode, decode = both_ways(network, 32)
    assert flops.flops(flops.maskgit_encoder(32)) == encode
    assert flops.flops(flops.maskgit_decoder(32)) == decode
    assert flops.weights([*flops.maskgit_encoder(32), *flops.maskgit_decoder(32)]) == matrices(network)


def test_llamagens_tokenizer_has_its_published_size() -> None:
    layers = [*flops.encoder(LLAMAGEN, 256), *flops.decoder(LLAMAGEN, 256)]
    assert flops.weights(layers) == pytest.approx(71_883_403, rel=0.003)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_critic_asks_for_what_the_counter_sees(layers: int) -> None:
    config = AdversarialConfig(channels=8, layers=layers)
    network = PatchDiscriminator(8, layers)
    seen = counted(lambda: network(torch.zeros(1, 3, 32, 32)))
    assert flops.flops(flops.critic(config, 32)) == seen


def test_lpips_asks_for_what_the_counter_sees() -> None:
    network, image = PerceptualDistance(), torch.zeros(1, 3, 32, 32)
    seen = counted(lambda: network(image, image))
    assert 2 * flops.flops(flops.perceptual(32)) == pytest.approx(seen, rel=0.001)  # but its 1x1 heads


@pytest.mark.parametrize("adversarial", [None, {"channels": 8}, {"channels": 8, "feature_matching": 1.0}])
def test_a_training_step_is_within_three_percent_of_the_counter(adversarial: dict[str, Any] | None) -> None:
    config = VQGANConfig.model_validate(
        {"kind": "vqgan", "dataset": "x", "stem": "strided", "factor": 4, "width": 32, "blocks": 2}
        | {"multipliers": [1, 1, 2], "adversarial": adversarial, "train": {"steps": 1}}
    )
    network, images = VQGAN(config.anatomy()), torch.zeros(1, 3, 32, 32)
    judge = PatchDiscriminator(8, 2) if config.adversarial else None

    def step() -> None:
        copies, _, quantised = network(images)
        losses = generator_losses(
            config, images, copies, quantised, perceptual=None, critic=judge, last_layer=network.last_layer
        )
        losses["loss"].backward()
        if judge is not None:
            critic_step_loss(judge, images, copies).backward()

    closed = flops.training_flops(config, 32, with_critic=judge is not None)
    assert closed == pytest.approx(counted(step), rel=0.03)


@pytest.mark.parametrize("options", ANATOMIES[:4:3])
def test_what_a_training_step_keeps_is_about_as_said(options: dict[str, Any]) -> None:
    config = VQGANConfig.model_validate(
        {"kind": "vqgan", "dataset": "x", "codebook": 32, "train": {"steps": 1}, **options, "width": 32}
        | {"blocks": 2}
    )
    network = VQGAN(config.anatomy())
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}

    def kept(images: int) -> int:
        found: dict[int, torch.Tensor] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t: found.setdefault(t.untyped_storage().data_ptr(), t), lambda t: t
        ):
            network(torch.zeros(images, 3, 32, 32))
        return sum(t.untyped_storage().nbytes() for at, t in found.items() if at not in own)

    told = flops.training_bytes(config, 32, images=3) - flops.training_bytes(config, 32, images=1)
    assert told == pytest.approx(kept(3) - kept(1), rel=0.2)
