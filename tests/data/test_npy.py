"""Small arrays from files: what numpy reads, and a line for what it would not."""

from pathlib import Path

import numpy as np
import pytest

from oarpipe.data.npy import read_npy, read_npz, write_npy
from oarpipe.errors import BadInput, IncompleteData


@pytest.mark.parametrize(
    "values",
    [
        np.arange(12).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array([7], np.int64),
        np.array(3, np.uint16),
        np.arange(6, dtype=">i4").reshape(1, 2, 3),
        np.empty((0, 5), np.int32),
    ],
)
def test_an_array_is_read_as_numpy_reads_it_and_written_as_numpy_writes_it(
    tmp_path: Path, values: np.ndarray
) -> None:
    np.save(tmp_path / "a.npy", values)
    read = read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(read, values)
    assert read.dtype == values.dtype
    write_npy(tmp_path / "b.npy", values)
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


def test_arrays_of_an_archive_are_read_by_name_compressed_or_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.arange(4))
    np.savez_compressed(tmp_path / "b.npz", x=np.arange(3), y=np.arange(4))
    for name in ("a.npz", "b.npz"):
        y, x = read_npz(tmp_path / name, ["y", "x"])
        np.testing.assert_array_equal(x, np.arange(3))
        np.testing.assert_array_equal(y, np.arange(4))


def test_pickled_objects_are_refused_in_both_kinds_of_file(tmp_path: Path) -> None:
    pickled = np.array([{"a": 1}], object)
    np.save(tmp_path / "a.npy", pickled, allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=pickled)
    with pytest.raises(BadInput, match=r"a\.npy: holds pickled objects, which are never read"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(BadInput, match=r"a\.npz:x: holds pickled objects"):
        read_npz(tmp_path / "a.npz", ["x"])


@pytest.mark.parametrize("size", [0, 5, 9, 60, 130])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, size: int) -> None:
    np.save(tmp_path / "a.npy", np.arange(4))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:size])
    with pytest.raises(IncompleteData, match=r"a\.npy: .*fetch it again"):
        read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "header", ["not a header", "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,)}", "{}"]
)
def test_a_header_that_says_nothing_is_named(tmp_path: Path, header: str) -> None:
    text = header.encode().ljust(118) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(IncompleteData, match=r"a\.npy: its \.npy header cannot be read"):
        read_npy(tmp_path / "a.npy")


def test_a_missing_file_a_broken_archive_and_a_missing_array_are_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"a\.npy: no such file"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(IncompleteData, match=r"a\.npz: no such file"):
        read_npz(tmp_path / "a.npz", ["x"])
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(IncompleteData, match=r"a\.npz: not an \.npz file, or cut short"):
        read_npz(tmp_path / "a.npz", ["x"])
    np.savez(tmp_path / "b.npz", x=np.arange(3), z=np.arange(3))
    with pytest.raises(BadInput, match=r"b\.npz: no array 'y' \(it holds x, z\)"):
        read_npz(tmp_path / "b.npz", ["y"])
