"""What the orders of many images have in common, and how much they differ: mean maps and entropies."""

import numpy as np
from jaxtyping import Float64, Integer
from scipy.stats import binom

Orders = Integer[np.ndarray, "R N"]  # order[r, t]: the raster position that image r fills at step t


def mean_steps(orders: Orders) -> Float64[np.ndarray, " N"]:
    """The mean step, from 0, at which each raster position is filled."""
    mean: np.ndarray = np.argsort(orders, axis=1).mean(axis=0)
    return mean


def visits(orders: Orders) -> Float64[np.ndarray, "T N"]:
    """At `[t, p]` the share of images that fill position p at step t; T = N; rows and columns sum to 1."""
    positions = orders.shape[1]
    cells = np.arange(positions) * positions + orders.astype(np.int64)
    counts = np.bincount(cells.reshape(-1), minlength=positions**2)
    return counts.reshape(positions, positions) / len(orders)


def step_entropies(orders: Orders) -> Float64[np.ndarray, " N"]:
    """How much images differ in which place they fill at each step: Shannon's entropy over ln N.

    0: all fill the same place; 1: every place as often as any other. N must be at least 2. Of the inverse
    orders it is how much images differ in when they fill each position.
    """
    shares = visits(orders)
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    share_of_most: np.ndarray = np.abs((shares * logs).sum(axis=1)) / np.log(shares.shape[1])
    return share_of_most


def random_entropy(images: int, positions: int) -> float:
    """What the entropy comes to, on average, for as many uniformly random orders: less than 1.

    A count of a place is binomial, so the expectation of -p ln p is a sum over the counts.
    """
    counts = np.arange(1, images + 1)
    share = counts / images
    chance = binom.pmf(counts, images, 1 / positions)
    return float(-positions * (chance * share * np.log(share)).sum() / np.log(positions))
