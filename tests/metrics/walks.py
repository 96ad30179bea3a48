"""Orders for the tests of measures: random ones, and all of a small grid."""

import itertools

import numpy as np


def random_orders(rows: int, positions: int, seed: int = 0) -> np.ndarray:
    """Uniformly random orders, as a table holds them."""
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(np.arange(positions, dtype=np.uint16), (rows, 1)), axis=1)


def every_order(positions: int) -> np.ndarray:
    """All N! orders."""
    return np.array(list(itertools.permutations(range(positions))), dtype=np.uint16)
