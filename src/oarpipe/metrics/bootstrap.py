"""How far a difference between two sample sets could be chance: a paired bootstrap.

Every set is measured on the same resampled indices. Sample i of every set shows the same class and is
drawn with the same noise, so what a resampling changes in all sets alike cancels in their differences.
The reference is not resampled: intervals are about the samples, given the reference images.

Resampling n of n images with repeats loses variety, which a Fréchet distance reads as distance: the
replicates lie above the estimate, by about as much as the estimate itself lies above the distance of
infinitely many samples. Between sets of one count this shift is nearly the same and cancels in the
paired difference; for one set, `percentiles.interval` moves the replicates back to the estimate.
"""

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.base.devices import pick_device
from oarpipe.base.log import progress
from oarpipe.metrics.statistics import Statistics

TRIANGLE_BLOCKS = 8  # column blocks in which one triangle of a symmetric product is made: 9/16 of its work


def resampled(seed: int, replicate: int, count: int) -> Int[Tensor, " n"]:
    """The `count` indices of a replicate, drawn with repeats.

    Index i depends on seed, replicate and i alone, up to its scaling by `count`: sets of one count
    share their indices, sets of other counts have each their own.
    """
    u = noise.uniform(seed, noise.Stream.BOOTSTRAP, torch.arange(count), replicate)
    return (u * count).long()


class FrechetBootstrap:
    """Fréchet distances of resampled sets to one reference, on a GPU if there is one.

        bootstrap = FrechetBootstrap(statistics(reference.features), replicates=300, seed=0)
        bootstrap(one.features)     # 300 distances; replicate b resamples every set of this count alike

    With A the reference's covariance and X a resample's centred vectors, tr (A^(1/2) X'X A^(1/2))^(1/2) is
    the sum of the singular values of X A^(1/2): found from the smaller of its two Gram matrices, of the
    distinct rows only (about 63 % of them), weighted by the root of how often each was drawn.

    With Inception's 2,048 dimensions a replicate of 50,000 images takes some 4 seconds of one CPU core,
    one of 1,000 images 0.05 (docs/benchmarks.md).
    """

    def __init__(
        self, reference: Statistics, *, replicates: int, seed: int, device: torch.device | None = None
    ) -> None:
        self._replicates = replicates
        self._seed = seed
        self._device = device or pick_device()
        self._mean = torch.from_numpy(reference.mean).to(self._device)
        self._root = torch.empty(0)
        self._trace = float(np.trace(reference.covariance))
        if replicates:
            values, vectors = torch.linalg.eigh(torch.from_numpy(reference.covariance).to(self._device))
            self._root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    def __call__(self, features: Float32[np.ndarray, "n D"], what: str = "bootstrap") -> list[float]:
        """The set's replicates, in float64; `what` names the set in the progress bar."""
        if not self._replicates:
            return []
        count = len(features)
        vectors = torch.from_numpy(features).to(self._device).double().sub_(self._mean)
        turned, squares = vectors @ self._root, vectors.square().sum(dim=1)
        distances = []
        for replicate in progress(range(self._replicates), what, unit="replicate"):
            drawn = resampled(self._seed, replicate, count).bincount(minlength=count)
            weights = drawn.to(self._device).double()
            shift = weights @ vectors / count
            trace = (weights @ squares - count * shift.square().sum()) / (count - 1)
            roots = _singular_sum(turned, weights) / (count - 1) ** 0.5
            distances.append(float(shift.square().sum() + self._trace + trace - 2 * roots))
        return distances


def _singular_sum(rows: Float64[Tensor, "n D"], weights: Float64[Tensor, " n"]) -> Tensor:
    """The sum of the singular values of the weighted rows less their weighted mean."""
    mean = weights @ rows / weights.sum()
    kept = weights.nonzero()[:, 0]
    centred = rows[kept].sub_(mean).mul_(weights[kept].sqrt()[:, None])
    gram = _upper_gram(centred if len(kept) > rows.shape[1] else centred.T)
    total: Tensor = torch.linalg.eigvalsh(gram, UPLO="U").clamp_min(0).sqrt().sum()
    return total


def _upper_gram(matrix: Float64[Tensor, "m k"]) -> Float64[Tensor, "k k"]:
    """matrix' matrix, of which only the upper triangle counts."""
    size = matrix.shape[1]
    gram = matrix.new_zeros(size, size)
    block = -(-size // TRIANGLE_BLOCKS)
    for begin in range(0, size, block):
        gram[begin : begin + block, begin:] = matrix[:, begin : begin + block].T @ matrix[:, begin:]
    return gram
