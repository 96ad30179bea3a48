"""What a Fréchet distance knows of a set: mean and covariance in float64, summed up here or published."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from oarpipe.errors import BadInput, IncompleteData

ROWS = 4096  # rows turned into float64 at a time


@dataclass(frozen=True, eq=False)
class Statistics:
    """Moments of n feature vectors; the covariance is the unbiased one, over n - 1."""

    mean: Float64[np.ndarray, " D"]
    covariance: Float64[np.ndarray, "D D"]


class Moments:
    """Running mean and scatter, merged batch by batch (Chan, Golub and LeVeque 1983)."""

    def __init__(self, dimensions: int) -> None:
        self.count = 0
        self._mean = np.zeros(dimensions)
        self._scatter = np.zeros((dimensions, dimensions))

    def add(self, features: Float[np.ndarray, "B D"]) -> None:
        """Takes in a batch."""
        batch = features.astype(np.float64)
        count, mean = len(batch), batch.mean(axis=0)
        centred = batch - mean
        total, shift = self.count + count, mean - self._mean
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * count / total)
        self._mean = self._mean + shift * (count / total)
        self.count = total

    def statistics(self) -> Statistics:
        """The moments so far; a covariance needs two vectors."""
        if self.count < 2:
            raise BadInput(f"a Fréchet distance needs at least two images a set, got {self.count}")
        return Statistics(self._mean.copy(), self._scatter / (self.count - 1))


def statistics(features: Float[np.ndarray, "n D"]) -> Statistics:
    """The moments of a whole set, without a float64 copy of it."""
    moments = Moments(features.shape[1])
    for begin in range(0, len(features), ROWS):
        moments.add(features[begin : begin + ROWS])
    return moments.statistics()


def read_statistics(file: Path) -> Statistics:
    """`mu` [D] and `sigma` [D, D] of a published .npz, such as ADM's; the other arrays in it are not read.

    `IncompleteData` names a missing or broken file, `BadInput` one that holds something else.
    """
    found = _read(file, "mu", "sigma")
    if isinstance(found, Statistics):
        return found
    raise BadInput(
        f"{file}: holds {', '.join(found) or 'nothing'}; `statistics` must name an .npz with the mean "
        "`mu` and the covariance `sigma` of features"
    )


def read_spatial_statistics(file: Path) -> Statistics | None:
    """`mu_s` and `sigma_s`, the moments of spatial features in ADM's reference files; None if it has none."""
    found = _read(file, "mu_s", "sigma_s")
    return found if isinstance(found, Statistics) else None


def _read(file: Path, *names: str) -> Statistics | list[str]:
    """The mean and covariance of these names, checked; or, if they are not there, what else is."""
    try:
        if file.is_file() and not zipfile.is_zipfile(file):
            raise zipfile.BadZipFile("not an .npz, or one cut short")
        with np.load(file, allow_pickle=False) as arrays:
            held = list(arrays)
            found = [np.asarray(arrays[name]) for name in names if name in held]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise IncompleteData(
            f"{file}: missing or broken statistics ({error}); mend `statistics`, or fetch the file again"
        ) from error
    if len(found) < 2:
        return held
    mean, covariance = found
    mu, sigma = names
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
        raise BadInput(
            f"{file}: {mu} is {list(mean.shape)} and {sigma} {list(covariance.shape)}, "
            "expected [D] and [D, D]"
        )
    mean, covariance = mean.astype(np.float64), covariance.astype(np.float64)
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise BadInput(f"{file}: {mu} or {sigma} hold values that are not finite")
    if not np.allclose(covariance, covariance.T, rtol=1e-6, atol=1e-9 * np.abs(covariance).max()):
        raise BadInput(f"{file}: {sigma} is no covariance, for it is not symmetric")
    return Statistics(mean, covariance)
