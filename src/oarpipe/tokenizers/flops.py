"""A tokenizer's arithmetic for one image, in closed form (a multiplication and an addition are two).

A network is a list of layers as plain numbers, so that a run can be costed before there is one.
Convolutions, attention and the look-up are counted; norms, biases and activations are not.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from oarpipe.config.tokenizers import AdversarialConfig, VQGANAnatomy, VQGANConfig

# VGG16's channels up to relu5_3; the resolution halves between the groups.
_VGG = ((3, 64, 64), (64, 128, 128), (128, 256, 256, 256), (256, 512, 512, 512), (512, 512, 512, 512))
_MASKGIT = (128, 128, 256, 256, 512)


class Layer(NamedTuple):
    """`weights` applied at each of `places`; `products` are without weights.

    `kept` values stay for the backward: what goes in and, in a residual block, what went into the
    activation and the norm before it.
    """

    weights: int
    places: int
    kept: int
    products: int = 0


def flops(layers: Iterable[Layer]) -> int:
    """Of one forward of one image."""
    return sum(2 * (layer.weights * layer.places + layer.products) for layer in layers)


def weights(layers: Iterable[Layer]) -> int:
    """Parameters, less norms and biases, which are a thousandth of them."""
    return sum(layer.weights for layer in layers)


def encoder(anatomy: VQGANAnatomy, resolution: int) -> Iterator[Layer]:
    """From an image to its codes; the last layer is the look-up, its weights the codebook."""
    positions = (resolution // anatomy.factor) ** 2
    if anatomy.stem != "pixels":
        yield from _downwards(anatomy, resolution)
    yield _conv(_latent(anatomy), anatomy.code_dim, 1, positions)
    yield Layer(anatomy.codebook * anatomy.code_dim, positions, anatomy.code_dim * positions)


def _downwards(anatomy: VQGANAnatomy, resolution: int) -> Iterator[Layer]:
    widths = [anatomy.width * m for m in anatomy.multipliers]
    is_patch, positions = anatomy.stem == "patch", (resolution // anatomy.factor) ** 2
    side = resolution // anatomy.factor if is_patch else resolution
    yield _conv(3 * anatomy.factor**2 if is_patch else 3, anatomy.width, 3, side**2)
    for level, (before, after) in enumerate(pairwise([anatomy.width, *widths])):
        is_last = level == len(widths) - 1
        yield from _level(before, after, anatomy.blocks, side**2, attention=anatomy.attention and is_last)
        if not is_patch and not is_last:
            side //= 2
            yield _conv(after, after, 3, side**2, kept=4 * side**2)
    yield from _middle(anatomy, widths[-1], positions)
    yield _conv(widths[-1], _latent(anatomy), 3, positions)


def decoder(anatomy: VQGANAnatomy, resolution: int) -> Iterator[Layer]:
    """From codes to an image of `resolution` pixels a side."""
    yield _conv(anatomy.code_dim, _latent(anatomy), 1, (resolution // anatomy.factor) ** 2)
    if anatomy.stem != "pixels":
        yield from _upwards(anatomy, resolution)


def _upwards(anatomy: VQGANAnatomy, resolution: int) -> Iterator[Layer]:
    widths = [anatomy.width * m for m in reversed(anatomy.multipliers)]
    is_patch, side = anatomy.stem == "patch", resolution // anatomy.factor
    yield _conv(_latent(anatomy), widths[0], 3, side**2)
    yield from _middle(anatomy, widths[0], side**2)
    for level, (before, after) in enumerate(pairwise([widths[0], *widths])):
        blocks = anatomy.blocks if is_patch else anatomy.blocks + 1
        yield from _level(before, after, blocks, side**2, attention=anatomy.attention and level == 0)
        if not is_patch and level < len(widths) - 1:
            side *= 2
            yield _conv(after, after, 3, side**2)
    yield _conv(widths[-1], 3 * anatomy.factor**2 if is_patch else 3, 3, side**2)


def training_flops(config: VQGANConfig, resolution: int, *, with_critic: bool) -> int:
    """An image's share of a training step: the generator's and, once its turn has come, the critic's.

    A backward is twice a forward, or once where only the images' gradient is asked for.
    """
    total = 3 * flops((*encoder(config, resolution), *decoder(config, resolution)))
    adversarial = config.adversarial if with_critic else None
    is_adaptive = adversarial is not None and adversarial.adaptive  # two more gradients, at the last layer
    if config.perceptual:
        total += (4 if is_adaptive else 3) * flops(perceptual(resolution))
    if adversarial is not None:
        opinion = 2 + is_adaptive + (adversarial.feature_matching > 0)
        total += (opinion + 2 * 3) * flops(critic(adversarial, resolution))
    return total


def training_bytes(config: VQGANConfig, resolution: int, *, images: int) -> int:
    """Memory of a step over `images` at once, in float32: weights, gradients, both moments, what is kept.

    VGG16 and the critic look at an image and its copy.
    """
    layers = [*encoder(config, resolution), *decoder(config, resolution)]
    judges = [*perceptual(resolution)] if config.perceptual else []
    if config.adversarial is not None:
        judges += critic(config.adversarial, resolution)
    kept = sum(layer.kept for layer in layers) + 2 * sum(layer.kept for layer in judges)
    return 4 * (4 * weights([*layers, *judges]) + images * kept)


def inference_bytes(layers: Iterable[Layer], *, images: int) -> int:
    """Memory of a forward of `images`: the weights, and the widest layer's values on both sides."""
    known = list(layers)
    return 4 * (weights(known) + 2 * images * max(layer.kept for layer in known))


def maskgit_encoder(resolution: int, codebook: int = 1024, code_dim: int = 256) -> Iterator[Layer]:
    """The published MaskGIT-VQGAN's, look-up included; it pools between its levels."""
    yield _conv(3, _MASKGIT[0], 3, resolution**2)
    for level, (before, after) in enumerate(pairwise((_MASKGIT[0], *_MASKGIT))):
        place = (resolution >> level) ** 2
        yield from (*_forgetful(before, after, place), *_forgetful(after, after, place))
    positions = (resolution // 16) ** 2
    yield from 2 * list(_forgetful(_MASKGIT[-1], _MASKGIT[-1], positions))
    yield _conv(_MASKGIT[-1], code_dim, 1, positions)
    yield Layer(codebook * code_dim, positions, code_dim * positions)


def maskgit_decoder(resolution: int, code_dim: int = 256) -> Iterator[Layer]:
    """The published MaskGIT-VQGAN's."""
    last = _MASKGIT[-1]
    yield _conv(code_dim, last, 3, (resolution // 16) ** 2)
    yield from 2 * list(_forgetful(last, last, (resolution // 16) ** 2))
    for level, (after, before) in reversed(list(enumerate(pairwise((*_MASKGIT, last))))):
        place = (resolution >> level) ** 2
        yield from (*_forgetful(before, after, place), *_forgetful(after, after, place))
        if level:
            yield _conv(after, after, 3, 4 * place)
    yield _conv(_MASKGIT[0], 3, 3, resolution**2)


def perceptual(resolution: int) -> Iterator[Layer]:
    """VGG16 up to relu5_3, as LPIPS looks at one image."""
    for group, widths in enumerate(_VGG):
        for before, after in pairwise(widths):
            yield _conv(before, after, 3, (resolution >> group) ** 2)


def critic(config: AdversarialConfig, resolution: int) -> Iterator[Layer]:
    """The PatchGAN critic."""
    widths = [3, *(config.channels * min(2**i, 8) for i in range(config.layers + 1)), 1]
    side = resolution
    for number, (before, after) in enumerate(pairwise(widths)):
        seen, side = side, side // 2 if number < config.layers else side - 1
        yield _conv(before, after, 4, side**2, kept=seen**2)


def _latent(anatomy: VQGANAnatomy) -> int:
    """Channels between the convolutions and the projections to a code."""
    if anatomy.stem == "pixels":
        return 3 * anatomy.factor**2
    return anatomy.width if anatomy.stem == "patch" else 2 * anatomy.width


def _conv(inputs: int, outputs: int, kernel: int, places: int, *, kept: int | None = None) -> Layer:
    """A convolution that makes the backward keep `kept` values a channel: those that go in, if not given."""
    return Layer(inputs * outputs * kernel**2, places, inputs * (places if kept is None else kept))


def _level(inputs: int, outputs: int, blocks: int, places: int, *, attention: bool) -> Iterator[Layer]:
    if blocks == 0 and inputs != outputs:
        yield _conv(inputs, outputs, 3, places)
    for before, after in pairwise([inputs] + [outputs] * blocks):
        yield from _residual(before, after, places)
        if attention:
            yield _attention(after, places)


def _middle(anatomy: VQGANAnatomy, width: int, places: int) -> Iterator[Layer]:
    if anatomy.stem == "strided":
        yield from _residual(width, width, places)
        if anatomy.attention:
            yield _attention(width, places)
        yield from _residual(width, width, places)


def _residual(inputs: int, outputs: int, places: int) -> Iterator[Layer]:
    yield _conv(inputs, outputs, 3, places, kept=3 * places)
    yield _conv(outputs, outputs, 3, places, kept=3 * places)
    if inputs != outputs:
        yield _conv(inputs, outputs, 1, places, kept=0)


def _forgetful(inputs: int, outputs: int, places: int) -> Iterator[Layer]:
    """MaskGIT's residual block, whose shortcut reads the branch's output."""
    yield _conv(inputs, outputs, 3, places)
    yield _conv(outputs, outputs, 3, places)
    if inputs != outputs:
        yield _conv(outputs, outputs, 1, places)


def _attention(channels: int, places: int) -> Layer:
    """Four projections, scores and mixing."""
    return Layer(4 * channels**2, places, 4 * channels * places, products=2 * channels * places**2)
