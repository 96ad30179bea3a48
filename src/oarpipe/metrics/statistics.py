"""Mean and covariance in float64, a batch at a time: what a Fréchet distance knows of a set."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from oarpipe.errors import BadInput

ROWS = 4096  # rows turned into float64 at a time


@dataclass(frozen=True, eq=False)
class Statistics:
    """Moments of n feature vectors; the covariance is the unbiased one, over n - 1."""

    count: int
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
        return Statistics(self.count, self._mean.copy(), self._scatter / (self.count - 1))


def statistics(features: Float[np.ndarray, "n D"]) -> Statistics:
    """The moments of a whole set, without a float64 copy of it."""
    moments = Moments(features.shape[1])
    for begin in range(0, len(features), ROWS):
        moments.add(features[begin : begin + ROWS])
    return moments.statistics()
