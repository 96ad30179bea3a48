"""How early a walk can be told what it draws: a classifier's confidence along the way (order-head study)."""

import numpy as np
from jaxtyping import Float, Float64, Integer


def partly_filled(
    tokens: Integer[np.ndarray, "R N"], orders: Integer[np.ndarray, "R N"], filled: int, blank: int
) -> Integer[np.ndarray, "R N"]:
    """Raster tokens after `filled` steps, every open place holding the code `blank`."""
    shown = np.full_like(tokens, blank)
    places = orders[:, :filled].astype(np.int64)
    np.put_along_axis(shown, places, np.take_along_axis(tokens, places, axis=1), axis=1)
    return shown


def recognition_area(
    confidence: Float[np.ndarray, "R K"], shares: Float64[np.ndarray, " K"]
) -> Float64[np.ndarray, " R"]:
    """Each image's area under the confidence in its true class, over the share of places filled.

    `shares` rise from 0 to 1; the curve is joined by straight lines. 1: recognised from the first place on.
    """
    middles = (confidence[:, 1:] + confidence[:, :-1]) / 2
    area: np.ndarray = middles.astype(np.float64) @ np.diff(shares)
    return area
