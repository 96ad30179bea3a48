"""How far a difference between two sample sets could be chance: a paired bootstrap.

Every set is measured on the same resampled indices. Sample i of every set shows the same class and is
drawn with the same noise, so what a resampling changes in all sets alike cancels in their differences.
The reference is not resampled: intervals are about the samples, given the reference images.

Resampling n of n images with repeats loses variety, which a Fréchet distance reads as distance: the
replicates lie above the estimate, by about as much as the estimate itself lies above the distance of
infinitely many samples. Between sets of one count this shift is nearly the same and cancels in the
paired difference; for one set, give `interval` the estimate to move the replicates back to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.fidelity import FrechetTo
from oarpipe.metrics.statistics import Statistics

BLOCK_ELEMENTS = 2**22  # float64 numbers a block of replicates may hold at once (32 MiB)


def resampled(seed: int, replicate: int, count: int) -> Int[Tensor, " n"]:
    """The `count` indices of a replicate, drawn with repeats.

    Index i depends on seed, replicate and i alone, up to its scaling by `count`: sets of one count
    share their indices, sets of other counts have each their own.
    """
    u = noise.uniform(seed, noise.Stream.BOOTSTRAP, torch.arange(count), replicate)
    return (u * count).long()


def frechet_replicates(
    sets: Mapping[str, FeatureSet], reference: Statistics, *, replicates: int, seed: int
) -> dict[str, list[float]]:
    """The Fréchet distances of resampled sets to the reference, `replicates` of each, paired by index."""
    distance = FrechetTo(reference)
    values: dict[str, list[float]] = {name: [] for name in sets}
    by_count: dict[int, list[str]] = {}
    for name, one in sets.items():
        by_count.setdefault(len(one), []).append(name)
    for count, names in by_count.items():
        block = max(1, BLOCK_ELEMENTS // (len(reference.mean) * max(count, len(reference.mean))))
        for begin in range(0, replicates, block):
            weights = _weights(seed, range(begin, min(begin + block, replicates)), count)
            for name in names:
                values[name] += distance(*_moments(sets[name].features, weights, distance.mean)).tolist()
    return values


@dataclass(frozen=True)
class Difference:
    """A difference of two sets' distances, with its interval."""

    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def interval(
    values: Sequence[float], level: float = 0.95, *, estimate: float | None = None
) -> tuple[float, float]:
    """The percentiles that hold `level` of the replicates.

    With an `estimate`, the replicates are first moved so that their mean is the estimate, which takes
    out the bias of resampling.
    """
    shift = 0.0 if estimate is None else estimate - float(np.mean(values))
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) + shift
    return float(low), float(high)


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Difference:
    """a - b, replicate by replicate; negative where the set of `a` is closer to the reference."""
    differences = (np.asarray(a) - np.asarray(b)).tolist()
    low, high = interval(differences, level)
    return Difference(float(np.mean(differences)), low, high)


def _weights(seed: int, replicates: range, count: int) -> Float64[Tensor, "R n"]:
    """How often each sample was drawn, a row a replicate."""
    return torch.stack(
        [torch.bincount(resampled(seed, r, count), minlength=count).double() for r in replicates]
    )


def _moments(
    features: np.ndarray, weights: Float64[Tensor, "R n"], origin: Float64[Tensor, " D"]
) -> tuple[Float64[Tensor, "R D"], Float64[Tensor, "R D D"]]:
    """Mean and unbiased covariance of each replicate, from the counts instead of the copies."""
    vectors, count = torch.from_numpy(features).double() - origin, weights.shape[1]
    means = weights @ vectors / count
    scatter = (vectors.T * weights[:, None, :]) @ vectors
    covariances = (scatter - count * means[:, :, None] * means[:, None, :]) / (count - 1)
    return means + origin, covariances
