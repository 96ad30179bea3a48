"""What a specialised order tells beyond raster: V-information by class (paper Eqs. 3-5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer


@dataclass(frozen=True)
class ClassInformation:
    """Means over the images of a class, nats an image.

    `gain` is raster less specialised, `error` its standard error (nan for one image).
    """

    label: int
    images: int
    raster: float
    specialised: float
    gain: float
    error: float


def v_information(
    raster: Float[np.ndarray, "R N"],
    specialised: Float[np.ndarray, "R M"],
    labels: Integer[np.ndarray, " R"],
) -> list[ClassInformation]:
    """From two tables of log-probabilities of the same images' codes, walked with the truth, a class a row.

    An image's sum over its codes counts, so the tables' columns may be steps, or one column of sums.
    One model for both tables compares the orders alone; Eqs. 3-5 ask of each order the model that
    suits it best.
    """
    found = []
    costs = -raster.sum(axis=1, dtype=np.float64), -specialised.sum(axis=1, dtype=np.float64)
    for label in np.unique(labels):
        ours, theirs = (cost[labels == label] for cost in costs)
        gain, count = ours - theirs, len(ours)
        error = float(gain.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
        found.append(
            ClassInformation(
                int(label), count, float(ours.mean()), float(theirs.mean()), float(gain.mean()), error
            )
        )
    return found
