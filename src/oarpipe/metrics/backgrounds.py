"""When a walk fills the background: the paper's claim that specialised orders begin with what is plain."""

import numpy as np
from jaxtyping import Bool, Float64, Integer, UInt8

from oarpipe.base.grid import Grid

TOLERANCE = 16  # of 255, in any channel


def background_places(images: UInt8[np.ndarray, "R H W 3"], grid: Grid) -> Bool[np.ndarray, "R N"]:
    """The places whose every pixel is within TOLERANCE of the border's colour.

    That is the median of the image's outermost pixels, channel by channel. H and W must be
    multiples of the grid's sides.
    """
    rows, height, width, _ = images.shape
    frame = np.zeros((height, width), dtype=bool)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    colour = np.median(images[:, frame], axis=1)  # [R, 3]
    is_plain = np.all(np.abs(images - colour[:, None, None]) <= TOLERANCE, axis=3)
    cells = is_plain.reshape(rows, grid.height, height // grid.height, grid.width, width // grid.width)
    places: np.ndarray = cells.all(axis=(2, 4))
    return places.reshape(rows, grid.positions)


def background_shares(
    orders: Integer[np.ndarray, "R N"], is_background: Bool[np.ndarray, "R N"]
) -> Float64[np.ndarray, " N"]:
    """At t, the share of background among the first t + 1 places, the mean over images.

    Random orders are expected at the last value, the images' own share, at every step.
    """
    walked = np.take_along_axis(is_background, orders.astype(np.int64), axis=1)
    shares: np.ndarray = (np.cumsum(walked, axis=1) / np.arange(1, orders.shape[1] + 1)).mean(axis=0)
    return shares
