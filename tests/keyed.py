"""What is known of the pictures in `data/sources/keyed.py`: codes, the key's order, all true chances."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from oarpipe.data.sources.keyed import CHANCES, GRID, KEYS, PLACES, WRONG, keyed_cells, keyed_labels
from oarpipe.data.token_store import TokenSet

# Chance of every mark, a column, under every key, a row.
_MARKS = np.where(np.eye(KEYS, dtype=bool), 1 - WRONG, WRONG / (KEYS - 1))


def keyed(rows: int, first: int = 0) -> TokenSet:
    """So many pictures from number `first` on, a multiple of 3; codes are the numbers of the colours."""
    numbers = np.arange(first, first + rows)
    return TokenSet(
        tokens=keyed_cells(numbers)[:, None].astype(np.int32),
        labels=keyed_labels(rows),
        sample_ids=numbers,
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
                weights = weights * _MARKS[:, code - KEYS]
        weights = weights / weights.sum()
        return float((weights if place == key_place else weights @ _MARKS).max())


def following_after_a_mark() -> float:
    """How often a mark follows the key where one mark is drawn first, and all other cells by it alone."""
    joint = CHANCES[:, None] * _MARKS  # of key and mark
    first = joint.sum(axis=0)
    key_by_mark = (joint / first).T
    others = (key_by_mark * (key_by_mark @ _MARKS)).sum(axis=1)
    return float(first @ (np.diag(key_by_mark) + (GRID.positions - 2) * others)) / (GRID.positions - 1)


def all_images() -> np.ndarray:
    """Every image of class 0 that can occur."""
    marks = list(product(range(KEYS, 2 * KEYS), repeat=GRID.positions - 1))
    codes = np.empty((KEYS * len(marks), GRID.positions), np.int64)
    others = np.delete(np.arange(GRID.positions), PLACES[0])
    codes[:, others] = np.tile(np.array(marks), (KEYS, 1))
    codes[:, PLACES[0]] = np.repeat(np.arange(KEYS), len(marks))
    return codes
