"""Pictures whose best order is known: one key cell tells what all others are likely to show.

Each is 3x3 cells of one colour. The key's place depends on the class. The key shows one of four colours,
the first in seven of ten images. Every other cell shows the key's mark, a colour of its own range, and a
wrong mark in one of five images, each cell for itself.

If the others followed the key without fail, no cell could be less certain than it: what is computed from
the key has at most its entropy. It is the wrong marks that make the key the most certain cell at first
(0.7 against 0.58), and a known key that makes all others more certain than anything was (0.8).
"""

from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int32, Int64, UInt8
from PIL import Image

from oarpipe.base.grid import Grid
from oarpipe.base.noise import Stream, uniform
from oarpipe.config.datasets import KeyedConfig
from oarpipe.data.sources.listing import Listing, Place, class_split

GRID = Grid(3, 3)
PLACES = np.array([4, 2, 6])  # of the key, by class
CHANCES = np.array([0.7, 0.1, 0.1, 0.1])  # of the key's colours
KEYS = len(CHANCES)
WRONG = 0.2  # chance of a wrong mark
TEST_EVERY = 5
COLOURS = np.array(  # the keys', then their marks'
    [
        *([230, 30, 30], [30, 180, 30], [40, 60, 230], [240, 200, 20]),
        *([170, 175, 185], [20, 20, 20], [0, 220, 220], [230, 60, 230]),
    ],
    np.uint8,
)


class KeyedSource:
    """So many pictures, drawn by their numbers; a picture is the same in a set of any size."""

    def __init__(self, config: KeyedConfig) -> None:
        self._config = config

    def listing(self) -> Listing:
        """The classes in turn; every fifth picture of a class is held out."""
        labels = keyed_labels(self._config.count)
        return Listing(
            path=[f"keyed[{i}]" for i in range(len(labels))],
            size=np.full(len(labels), GRID.positions),
            label=labels,
            split=class_split(labels, TEST_EVERY),
            classes=["key in the centre", "key at the upper right", "key at the lower left"],
            is_fixed=True,
        )

    def content(self, place: Place) -> bytes:
        """The number of each cell's colour."""
        row = int(place.path.removeprefix("keyed[").removesuffix("]"))
        values: bytes = self._cells[row].tobytes()
        return values

    def picture(self, place: Place, content: bytes) -> Image.Image:
        """The cells as flat squares."""
        side = self._config.resolution // GRID.width
        cells = COLOURS[np.frombuffer(content, np.uint8)].reshape(GRID.height, GRID.width, 3)
        return Image.fromarray(cells.repeat(side, axis=0).repeat(side, axis=1))

    def where(self, place: Place) -> str:
        """By its number."""
        return place.path

    @cached_property
    def _cells(self) -> UInt8[np.ndarray, "n N"]:
        return keyed_cells(np.arange(self._config.count)).astype(np.uint8)


def keyed_labels(count: int) -> Int32[np.ndarray, " n"]:
    """The classes in turn."""
    return (np.arange(count) % len(PLACES)).astype(np.int32)


def keyed_cells(numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, "n N"]:
    """What these pictures' cells show: keys are 0 to 3, marks 4 to 7; classes go by number in turn."""
    samples, cells = torch.from_numpy(numbers)[:, None], torch.arange(GRID.positions)
    drawn, errors = (uniform(0, Stream.KEYED, samples, step, cells).numpy() for step in range(2))
    key = np.searchsorted(CHANCES.cumsum()[:-1], drawn[:, 0], side="right")
    shift = np.where(errors < WRONG, 1 + errors / WRONG * (KEYS - 1), 0).astype(np.int64)
    codes = KEYS + (key[:, None] + shift) % KEYS
    codes[np.arange(len(numbers)), PLACES[numbers % len(PLACES)]] = key
    return codes
