"""Randomness as a function, never a state.

Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a seed, a
stream and up to three counters into bits. The same call gives the same bits on any device, in any
batch, after any restart, so nothing about randomness is ever saved.
"""

from enum import IntEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ITEMS = 2**18  # of a permutation, drawn at once: an epoch's shuffle is one of all images


class Stream(IntEnum):
    """What a random number is for; streams never share bits."""

    SHUFFLE = 1  # sample order of an epoch
    ORDER = 2  # random orders of training samples
    ANNEAL = 3  # whether a sample takes the old or the new order
    NULL_CLASS = 4  # label dropout
    LAYERS = 5  # the seed of the network's own dropout, a step at a time
    CODES = 6  # which code appears, by sample and position
    RULE = 7  # the fixed random permutation
    VISIT = 8  # random orders of a walk
    AUGMENT = 9  # shifts, rotations, flips of training images
    INIT = 10  # initial weights
    BOOTSTRAP = 11  # resampling of samples
    VIEW = 12  # which view of an image a step sees
    CODEBOOK = 13  # encodings at which a tokenizer's codes start, and start again
    CROP = 14  # which part of a training image a visit sees
    SAMPLE_ORDER = 15  # random orders that stay a sample's own
    CLASS_ORDER = 16  # random orders that stay a class's own
    ANOTHER = 17  # whose order a sample gets in place of its own
    STUDY = 18  # pairs of a preference study, degraded pictures, resampling of its answers
    KEYED = 19  # what pictures with a key cell show


def philox(counter: Int[Tensor, "*S 4"], key: tuple[int, int]) -> Int[Tensor, "*S 4"]:
    """Philox 4x32-10: four 32-bit words (held in int64) for each counter of four words."""
    c0, c1, c2, c3 = (counter[..., i] & _MASK for i in range(4))
    k0, k1 = key[0] & _MASK, key[1] & _MASK
    for _ in range(10):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return torch.stack([c0, c1, c2, c3], dim=-1)


def bits(
    seed: int, stream: Stream, sample: Tensor | int, step: Tensor | int = 0, item: Tensor | int = 0
) -> Int[Tensor, "*S"]:
    """63 random bits for each broadcast (sample, step, item); samples may exceed 32 bits."""
    device = next((x.device for x in (sample, step, item) if isinstance(x, Tensor)), None)
    parts = (x if isinstance(x, Tensor) else torch.full((), x, device=device) for x in (sample, step, item))
    samples, steps, items = torch.broadcast_tensors(*parts)
    counter = torch.stack([samples, samples >> 32, steps, items], dim=-1)
    words = philox(counter, (seed, int(stream) | (seed >> 32) << 8))
    return (words[..., 0] & 0x7FFFFFFF) << 32 | words[..., 1]


def uniform(
    seed: int, stream: Stream, sample: Tensor | int, step: Tensor | int = 0, item: Tensor | int = 0
) -> Float[Tensor, "*S"]:
    """Uniform numbers in [0, 1), float64, for each broadcast (sample, step, item)."""
    return (bits(seed, stream, sample, step, item) >> 10).double() / 2**53


def gumbel(
    seed: int, stream: Stream, sample: Tensor | int, step: Tensor | int = 0, item: Tensor | int = 0
) -> Float[Tensor, "*S"]:
    """Standard Gumbel numbers, float64."""
    u = uniform(seed, stream, sample, step, item).clamp_min(2.0**-54)
    return -torch.log(-torch.log(u))


def permutations(
    seed: int, stream: Stream, sample: Int[Tensor, " B"], step: Tensor | int, length: int
) -> Int[Tensor, "B N"]:
    """A uniform permutation of `length` things for each sample at each step."""
    items = torch.arange(length, device=sample.device).split(_ITEMS)
    steps = step[:, None] if isinstance(step, Tensor) and step.ndim else step
    drawn = [bits(seed, stream, sample[:, None], steps, item[None, :]) for item in items]
    return torch.cat(drawn, dim=1).argsort(dim=1, stable=True)


def integer(seed: int, stream: Stream, sample: int = 0, step: int = 0) -> int:
    """One 63-bit integer, to seed a library's own generator."""
    return int(bits(seed, stream, sample, step))


def _multiply(word: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    """High and low words of a 32 x 32 bit product; int64 wraps, and the mask undoes the sign."""
    product = word * constant
    return (product >> 32) & _MASK, product & _MASK
