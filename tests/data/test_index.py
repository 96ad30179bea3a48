"""The index numbers images, splits them once and for all, and survives damage with a clear word."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from oarpipe.data.index import ImageIndex
from oarpipe.data.indexing import examine
from oarpipe.data.sources.digits import DigitsSource, digits_split
from oarpipe.errors import IncompleteData


def test_the_digits_are_1437_to_train_on_and_360_held_out() -> None:
    index = examine(DigitsSource()).index
    assert len(index) == 1797
    assert len(index.rows("train")) == 1437
    assert len(index.rows("test")) == 360
    assert index.rows("all").tolist() == list(range(1797))
    assert not set(index.rows("train")) & set(index.rows("test"))
    held_out = np.bincount(index.label[index.rows("test")])
    assert held_out.min() >= 34  # every class holds out its fifth
    assert held_out.max() <= 37


def test_every_fifth_by_class_and_id_is_held_out() -> None:
    labels = [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    # ordered by class and id: 1 3 5 7 9 | 0 2 4 6 8 10
    held_out = [i for i, split in enumerate(digits_split(np.array(labels, np.int32))) if split == "test"]
    assert held_out == [0, 1, 10]


def test_an_index_comes_back_as_written(tmp_path: Path) -> None:
    index = examine(DigitsSource()).index
    index.write(tmp_path / "index.parquet")
    read = ImageIndex.read(tmp_path / "index.parquet")
    for name in ("sample_id", "size", "label"):
        np.testing.assert_array_equal(getattr(read, name), getattr(index, name))
    for name in ("path", "digest", "split", "classes"):
        assert getattr(read, name) == getattr(index, name)


def test_offsets_into_archives_and_the_listings_fingerprint_come_back(tmp_path: Path) -> None:
    plain = examine(DigitsSource()).index
    index = dataclasses.replace(plain, offset=plain.sample_id * 512, listing="abc")
    index.write(tmp_path / "index.parquet")
    read = ImageIndex.read(tmp_path / "index.parquet")
    assert read.listing == "abc"
    assert read.place(3) == (plain.path[3], plain.split[3], 1536, 64)
    assert plain.place(3).offset == 0


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_index_is_named(tmp_path: Path, share: float) -> None:
    file = tmp_path / "index.parquet"
    examine(DigitsSource()).index.write(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(IncompleteData, match=r"index\.parquet: missing or damaged"):
        ImageIndex.read(file)
