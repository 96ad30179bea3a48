"""Intervals from resamplings: the percentiles of the replicates, moved onto the estimate."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

LEVEL = 0.95


def interval(values: Sequence[float] | Float64[np.ndarray, " R"], *, estimate: float) -> tuple[float, float]:
    """The percentiles that hold 95 % of the replicates, moved so that their mean is the estimate.

    The move takes out the bias of resampling. Of paired differences, give the differences as `values`
    and the difference of the estimates.
    """
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) + (estimate - np.mean(values))
    return float(low), float(high)
