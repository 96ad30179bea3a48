"""Pictures with a key cell are drawn by the chances that they are said to have."""

import numpy as np
import pytest
from scipy.stats import binom

from oarpipe.config.datasets import KeyedConfig
from oarpipe.data.indexing import examine
from oarpipe.data.sources.keyed import COLOURS, KeyedSource, keyed_cells
from oarpipe.data.transforms import centre_crop

COUNT = 6000
CELLS = keyed_cells(np.arange(COUNT))
KEY = CELLS[np.arange(COUNT), np.array([4, 2, 6])[np.arange(COUNT) % 3]]


def is_likely(hits: int, of: int, chance: float) -> bool:
    """Within what 1 in 10,000 draws leaves at either end."""
    return bool(binom.ppf(1e-4, of, chance) <= hits <= binom.ppf(1 - 1e-4, of, chance))


@pytest.mark.parametrize(("colour", "chance"), [(0, 0.7), (1, 0.1), (2, 0.1), (3, 0.1)])
def test_a_key_shows_its_colours_by_their_chances(colour: int, chance: float) -> None:
    assert is_likely(int((colour == KEY).sum()), COUNT, chance)


def test_all_other_cells_show_marks_of_which_one_in_five_is_wrong() -> None:
    assert ((CELLS < 4).sum(axis=1) == 1).all()
    others = CELLS[CELLS >= 4].reshape(COUNT, 8)
    is_wrong = others != 4 + KEY[:, None]
    for cell in range(8):
        assert is_likely(int(is_wrong[:, cell].sum()), COUNT, 0.2)
    assert is_likely(int((is_wrong[:, 0] & is_wrong[:, 1]).sum()), COUNT, 0.04)  # each cell for itself
    for shift in (1, 2, 3):
        assert is_likely(int((others == 4 + (KEY[:, None] + shift) % 4).sum()), 8 * COUNT, 0.2 / 3)


def test_a_picture_is_its_cells_and_passes_the_crop_unchanged() -> None:
    source = KeyedSource(KeyedConfig(kind="keyed", count=15, resolution=12))
    place = source.listing().place(7)
    picture = source.picture(place, source.content(place))
    pixels = np.asarray(picture)
    assert (pixels[2::4, 2::4].reshape(9, 3) == COLOURS[CELLS[7]]).all()
    assert (pixels.reshape(3, 4, 3, 4, 3) == pixels.reshape(3, 4, 3, 4, 3)[:, :1, :, :1]).all()
    assert (np.asarray(centre_crop(picture, 12)) == pixels).all()


def test_a_picture_is_the_same_in_a_set_of_any_size() -> None:
    small, large = (KeyedSource(KeyedConfig(kind="keyed", count=n)) for n in (15, 45))
    assert small.content(small.listing().place(9)) == large.content(large.listing().place(9))


def test_a_fifth_of_every_class_is_held_out() -> None:
    index = examine(KeyedSource(KeyedConfig(kind="keyed", count=60))).index
    assert np.bincount(index.label).tolist() == [20, 20, 20]
    assert np.bincount(index.label[index.rows("test")]).tolist() == [4, 4, 4]
