"""Arrays of images are read row by row, from the disk where they are not compressed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.config.datasets import ArraysConfig
from oarpipe.data.sources.arrays import ArraySource
from oarpipe.errors import BadInput
from tests.data.sources.pictures import opened

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
LABELS = np.array([0, 3] * 6)


def config(path: Path, **options: Any) -> ArraysConfig:
    return ArraysConfig(kind="arrays", path=str(path), resolution=8, **options)


@pytest.fixture
def array(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "y.npy", LABELS)
    return tmp_path / "x.npy"


def test_an_npy_with_labels_is_read_by_row(array: Path, tmp_path: Path) -> None:
    source = opened(config(array, labels=str(tmp_path / "y.npy"), test_every=3))
    np.testing.assert_array_equal(source.load(np.array([7, 0, 11])), IMAGES[[7, 0, 11]])
    assert source.index.classes == ["0", "1", "2", "3"]  # labels are the classes' numbers
    assert source.index.label.tolist() == LABELS.tolist()
    assert source.index.rows("test").tolist() == [4, 5, 10, 11]
    assert source.index.path[3] == "x.npy[3]"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_adms_npz_is_read_by_row_compressed_or_not(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "adm.npz", IMAGES, LABELS)
    source = opened(config(tmp_path / "adm.npz"))
    np.testing.assert_array_equal(source.load(np.arange(12)), IMAGES)
    assert source.index.label.tolist() == LABELS.tolist()


def test_an_uncompressed_npz_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "adm.npz", IMAGES)
    monkeypatch.setattr(np, "load", lambda file, **options: _only_labels(file))
    source = ArraySource(config(tmp_path / "adm.npz"))
    assert source.content(source.listing().place(5)) == IMAGES[5].tobytes()


class _only_labels(dict[str, Any]):
    """An .npz that fails on being asked for images."""

    def __init__(self, file: Path) -> None:
        super().__init__()

    def __enter__(self) -> "_only_labels":
        return self

    def __exit__(self, *error: object) -> None: ...


def test_images_without_labels_are_of_one_class(array: Path) -> None:
    assert opened(config(array)).index.classes == ["all"]


def test_test_images_may_lie_in_an_array_of_their_own(array: Path, tmp_path: Path) -> None:
    held = 255 - np.repeat(np.repeat(IMAGES[:2], 2, axis=1), 2, axis=2)  # of another size
    np.savez(tmp_path / "held.npz", held, np.array([3, 0]))
    options = {"labels": str(tmp_path / "y.npy"), "test_path": str(tmp_path / "held.npz")}
    source = opened(config(array, **options))
    assert source.index.rows("test").tolist() == [12, 13]
    assert source.index.label[12:].tolist() == [3, 0]
    np.testing.assert_array_equal(source.load(np.array([3])), IMAGES[[3]])
    np.testing.assert_array_equal(source.load(np.array([12, 13])), 255 - IMAGES[:2])


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (IMAGES.astype(np.float32), r"float32 \[12, 8, 8, 3\], expected uint8"),
        (IMAGES[..., 0], r"uint8 \[12, 8, 8\], expected"),
        (np.asfortranarray(IMAGES), "columns first"),
        (IMAGES[:0], r"uint8 \[0, 8, 8, 3\], expected"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path: Path, images: np.ndarray, says: str) -> None:
    np.save(tmp_path / "x.npy", images)
    with pytest.raises(BadInput, match=says):
        ArraySource(config(tmp_path / "x.npy")).listing()


@pytest.mark.parametrize("labels", [LABELS[:-1], LABELS - 1, LABELS / 2, np.stack([LABELS, LABELS])])
def test_labels_that_do_not_fit_are_refused(array: Path, tmp_path: Path, labels: np.ndarray) -> None:
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(BadInput, match=r"y\.npy: labels are .*, expected 12 integers from 0"):
        ArraySource(config(array, labels=str(tmp_path / "y.npy"))).listing()


def test_a_cut_array_is_refused_where_it_is_read(array: Path) -> None:
    array.write_bytes(array.read_bytes()[:-1])
    source = ArraySource(config(array))
    place = source.listing().place(11)
    with pytest.raises(OSError, match=r"ends after \d+ bytes, expected"):
        source.content(place)


def test_pickles_and_strange_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(BadInput, match="images are object"):
        ArraySource(config(tmp_path / "p.npy")).listing()
    (tmp_path / "t.npy").write_text("no array")
    with pytest.raises(BadInput, match="not a readable array"):
        ArraySource(config(tmp_path / "t.npy")).listing()
    np.savez(tmp_path / "other.npz", samples=IMAGES)
    with pytest.raises(BadInput, match="no array arr_0"):
        ArraySource(config(tmp_path / "other.npz")).listing()
