"""Stores write whole shards, survive kills, and never read fill values for what is not there."""

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oarpipe.data.sharded import Column, ShardedStore, publish, unpublished
from oarpipe.errors import FingerprintMismatch, IncompleteData

COLUMNS = {"codes": Column((1, 4), "uint16", 8), "pixels": Column((2, 2, 3), "uint8", 8)}


def create(path: Path, rows: int = 20, shard: int = 8) -> ShardedStore:
    return ShardedStore.create(path, rows=rows, shard=shard, columns=COLUMNS, facts={"grid": [2, 2]})


def values(store: ShardedStore, i: int) -> dict[str, np.ndarray]:
    rows = np.array(store.range_of(i))
    return {
        "codes": (rows[:, None, None] * 10 + np.arange(4)).astype(np.uint16),
        "pixels": np.broadcast_to(rows[:, None, None, None], (len(rows), 2, 2, 3)).astype(np.uint8),
    }


def full(path: Path) -> ShardedStore:
    store = create(path)
    for i in store.missing():
        store.write(i, values(store, i))
    return store


def test_rows_come_back_as_written_whole_and_in_pieces(tmp_path: Path) -> None:
    store = full(tmp_path / "store.zarr")
    expected = np.concatenate([values(store, i)["codes"] for i in range(3)])
    assert store.shards == 3
    assert [len(store.range_of(i)) for i in range(3)] == [8, 8, 4]
    np.testing.assert_array_equal(store.read("codes"), expected)
    np.testing.assert_array_equal(store.read("codes", 5, 18), expected[5:18])
    np.testing.assert_array_equal(store.read("codes", 16, 99), expected[16:])


def test_shards_of_nothing_but_fill_values_are_there_all_the_same(tmp_path: Path) -> None:
    store = create(tmp_path / "store.zarr")
    white = {"codes": np.full((8, 1, 4), 65535, np.uint16), "pixels": np.full((8, 2, 2, 3), 255, np.uint8)}
    store.write(1, white)
    assert store.missing() == [0, 2]
    assert (store.read("pixels", 8, 16) == 255).all()


def test_a_missing_shard_is_an_error_and_named(tmp_path: Path) -> None:
    store = full(tmp_path / "store.zarr")
    store.file_of("pixels", 1).unlink()
    assert store.missing() == [1]
    with pytest.raises(IncompleteData, match=r"store\.zarr: shard 1 of 'pixels' is missing \(1 of 3"):
        store.read("pixels")
    store.read("pixels", 16, 20)
    store.write(1, values(store, 1))
    assert store.read("pixels").shape == (20, 2, 2, 3)


def test_an_empty_file_is_a_missing_shard(tmp_path: Path) -> None:
    store = full(tmp_path / "store.zarr")
    store.file_of("codes", 2).write_bytes(b"")
    assert store.missing() == [2]
    with pytest.raises(IncompleteData, match="shard 2 of 'codes' is missing"):
        store.read("codes")


@pytest.mark.parametrize("name", ["codes", "pixels"])
def test_no_flipped_byte_goes_unnoticed(tmp_path: Path, name: str) -> None:
    store = full(tmp_path / "store.zarr")
    file = store.file_of(name, 1)
    content = file.read_bytes()
    for place in range(0, len(content), 3):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x40]) + content[place + 1 :])
        with pytest.raises(IncompleteData, match=f"shard 1 of '{name}' is damaged.*delete .*{name}/c/1"):
            store.read(name)


def test_a_truncated_shard_is_named(tmp_path: Path) -> None:
    store = full(tmp_path / "store.zarr")
    file = store.file_of("codes", 0)
    content = file.read_bytes()
    for length in (1, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(IncompleteData, match="shard 0 of 'codes' is damaged"):
            store.read("codes")


def test_a_damaged_last_shard_can_be_written_again(tmp_path: Path) -> None:
    store = full(tmp_path / "store.zarr")
    store.file_of("codes", 2).write_bytes(b"rubbish")
    store.write(2, values(store, 2))
    np.testing.assert_array_equal(store.read("codes", 16), values(store, 2)["codes"])


def test_creating_again_keeps_what_is_there(tmp_path: Path) -> None:
    store = create(tmp_path / "store.zarr")
    store.write(0, values(store, 0))
    assert create(tmp_path / "store.zarr").missing() == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["store.zarr"]


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "store.zarr")
    with pytest.raises(FingerprintMismatch, match=r"rows 20 instead of 21"):
        create(tmp_path / "store.zarr", rows=21)


@pytest.mark.parametrize("file", ["zarr.json", "codes/zarr.json"])
def test_damaged_metadata_are_named(tmp_path: Path, file: str) -> None:
    full(tmp_path / "store.zarr")
    (tmp_path / "store.zarr" / file).write_text("{")
    with pytest.raises(IncompleteData, match=r"store\.zarr.*metadata.*delete"):
        ShardedStore.open(tmp_path / "store.zarr").read("codes")


def test_there_is_no_store_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match="no such store"):
        ShardedStore.open(tmp_path / "store.zarr")


def test_processes_that_create_and_write_at_once_lose_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.data.test_sharded import create, values\n"
        "store = create(Path(sys.argv[1]), rows=64, shard=8)\n"
        "for i in range(int(sys.argv[2]), 8, 2): store.write(i, values(store, i))"
    )
    root, path = Path(__file__).parents[2], tmp_path / "store.zarr"
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(path), str(first)], cwd=root) for first in (0, 1)
    ]
    assert [writer.wait() for writer in writers] == [0, 0]
    store = ShardedStore.open(path)
    assert store.missing() == []
    np.testing.assert_array_equal(store.read("codes")[:, 0, 0], np.arange(64) * 10)
    assert [found.name for found in tmp_path.iterdir()] == ["store.zarr"]


def test_publishing_removes_only_what_killed_writers_left(tmp_path: Path) -> None:
    clean, swept = full(tmp_path / "state" / "clean.zarr"), full(tmp_path / "state" / "swept.zarr")
    (swept.file_of("codes", 0).with_name("0.1f2e.partial")).write_bytes(b"half")
    for store in (clean, swept):
        publish(store.path, tmp_path / store.path.name)
    files = [
        sorted(file.relative_to(tmp_path / name) for file in (tmp_path / name).rglob("*"))
        for name in ("clean.zarr", "swept.zarr")
    ]
    assert files[0] == files[1]


def test_a_full_disk_is_told_with_the_file_and_leaves_the_shard_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = full(tmp_path / "store.zarr")
    monkeypatch.setattr("zarr.Array.__setitem__", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: .*store\.zarr/codes/c/1"):
        store.write(1, values(store, 1))
    assert store.missing() == [1]


def test_publishing_replaces_the_old_folder_and_may_be_repeated(tmp_path: Path) -> None:
    source, target = tmp_path / "state" / "store.zarr", tmp_path / "store.zarr"
    target.mkdir()
    (target / "old").touch()
    full(source)
    assert unpublished(source, target) == source
    publish(source, target)
    assert unpublished(source, target) == target
    publish(source, target)  # as after a kill between the move and the receipt
    assert ShardedStore.open(target).missing() == []
    assert not (target / "old").exists()


def test_a_damaged_shard_is_told_before_its_store_is_published_and_is_all_that_is_made_anew(
    tmp_path: Path,
) -> None:
    source, target = tmp_path / "state" / "store.zarr", tmp_path / "store.zarr"
    store = full(source)
    file = store.file_of("pixels", 1)
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))
    with pytest.raises(IncompleteData, match=f"shard 1 of 'pixels' is damaged.*delete {file} and run"):
        publish(source, target)
    file.unlink()
    assert create(source).missing() == [1]
    store.write(1, values(store, 1))
    assert file.read_bytes() == content
    publish(source, target)
