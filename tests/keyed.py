"""Images whose best order is known: one key cell tells what all others are likely to show.

On a 3x3 grid the key's place depends on the class. The key shows one of four codes, the first in seven
of ten images. Every other cell shows the key's mark, a code of its own range, and a wrong mark in one of five
images, each cell for itself.

If the others followed the key without fail, no cell could be less certain than it: what is computed from
the key has at most its entropy. It is the wrong marks that make the key the most certain cell at first
(0.7 against 0.58), and a known key that makes all others more certain than anything was (0.8).
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from oarpipe.base.grid import Grid
from oarpipe.data.token_store import TokenSet

GRID = Grid(3, 3)
PLACES = np.array([4, 2, 6])  # of the key, by class
CHANCES = np.array([0.7, 0.1, 0.1, 0.1])  # of the key's codes
KEYS = len(CHANCES)
WRONG = 0.2  # chance of a wrong mark


def keyed(rows: int, seed: int) -> TokenSet:
    """So many images, the classes in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % len(PLACES)
    key = rng.choice(KEYS, rows, p=CHANCES)
    is_wrong = rng.random((rows, GRID.positions)) < WRONG
    shift = np.where(is_wrong, rng.integers(1, KEYS, is_wrong.shape), 0)
    codes = KEYS + (key[:, None] + shift) % KEYS
    codes[np.arange(rows), PLACES[labels]] = key
    return TokenSet(
        tokens=codes[:, None].astype(np.int32),
        labels=labels.astype(np.int32),
        sample_ids=np.arange(rows, dtype=np.int64),
        splits=np.zeros(rows, np.uint8),
        grid=GRID,
        codebook=2 * KEYS,
        classes=["a", "b", "c"],
        views=["original"],
    )


def key_first(labels: np.ndarray) -> np.ndarray:
    """The key's place, then the others in raster order."""
    rest = [[p for p in range(GRID.positions) if p != place] for place in PLACES]
    return np.array([[PLACES[label], *rest[label]] for label in labels])


def log_probs(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The logarithm of each image's true chance, whatever the order."""
    rows = np.arange(len(codes))
    key = codes[rows, PLACES[labels]]
    hits = (codes == KEYS + key[:, None]).sum(axis=1)
    misses = GRID.positions - 1 - hits
    told: np.ndarray = np.log(CHANCES[key]) + hits * np.log(1 - WRONG) + misses * np.log(WRONG / (KEYS - 1))
    return told


@dataclass(frozen=True)
class Exact:
    """The true distributions, by summing over the key; `known` maps places to codes."""

    label: int

    def likeliest(self, known: dict[int, int], place: int) -> float:
        """The chance of a place's likeliest code, given what is known."""
        key_place, weights = int(PLACES[self.label]), CHANCES.copy()
        for where, code in known.items():
            if where == key_place:
                weights = weights * (np.arange(KEYS) == code)
            else:
                weights = weights * self._marks()[:, code - KEYS]
        weights = weights / weights.sum()
        return float((weights if place == key_place else weights @ self._marks()).max())

    @staticmethod
    def _marks() -> np.ndarray:
        """Chance of every mark under every key."""
        same = np.eye(KEYS, dtype=bool)
        return np.where(same, 1 - WRONG, WRONG / (KEYS - 1))


def all_images() -> np.ndarray:
    """Every image of class 0 that can occur."""
    marks = list(product(range(KEYS, 2 * KEYS), repeat=GRID.positions - 1))
    codes = np.empty((KEYS * len(marks), GRID.positions), np.int64)
    others = np.delete(np.arange(GRID.positions), PLACES[0])
    codes[:, others] = np.tile(np.array(marks), (KEYS, 1))
    codes[:, PLACES[0]] = np.repeat(np.arange(KEYS), len(marks))
    return codes
