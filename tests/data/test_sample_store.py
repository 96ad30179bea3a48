"""Sample stores stream: in batches that cross shards, and to ADM's npz."""

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from oarpipe.base.grid import Grid
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import IncompleteData

GRID = Grid(2, 2)


def filled(path: Path, count: int = 150, shard: int = 64, resolution: int = 8) -> SampleStore:
    store = SampleStore.create(path, count=count, resolution=resolution, grid=GRID, shard=shard)
    for i in store.missing():
        rows = np.array(store.range_of(i), np.int64)
        n = len(rows)
        noise = np.random.default_rng(i)
        store.write_shard(
            i,
            images=noise.integers(0, 256, (n, resolution, resolution, 3), dtype=np.uint8),
            tokens=np.tile(rows[:, None], (1, 4)),
            orders=noise.permuted(np.tile(np.arange(4), (n, 1)), axis=1),
            scores=noise.random((n, 4), dtype=np.float32),
            labels=rows % 10,
            seeds=rows,
        )
    return store


def test_batches_are_the_whole_store_in_order(tmp_path: Path) -> None:
    store = filled(tmp_path / "samples.zarr")
    batches = list(store.batches(40))
    assert [len(batch["labels"]) for batch in batches] == [40, 40, 40, 30]
    for name in ("images", "tokens", "orders", "scores", "labels", "seeds"):
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in batches]), store.read(name))
    np.testing.assert_array_equal(store.read("seeds"), np.arange(150))
    assert store.read("orders").dtype == np.uint16


def test_the_npz_is_what_numpy_would_write(tmp_path: Path) -> None:
    store = filled(tmp_path / "samples.zarr")
    store.export_npz(tmp_path / "samples.npz")
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as archive:
        assert archive.files == ["arr_0"]
        assert archive["arr_0"].dtype == np.uint8
        np.testing.assert_array_equal(archive["arr_0"], store.read("images"))
    store.export_npz(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "samples.npz").read_bytes()
    np.savez(tmp_path / "numpy.npz", store.read("images"))
    with zipfile.ZipFile(tmp_path / "numpy.npz") as numpys, zipfile.ZipFile(tmp_path / "samples.npz") as ours:
        assert ours.read("arr_0.npy") == numpys.read("arr_0.npy")


def test_exporting_needs_no_more_memory_for_more_images(tmp_path: Path) -> None:
    peaks = []
    for count in (128, 1024):
        store = filled(tmp_path / f"{count}.zarr", count=count, shard=128, resolution=32)
        store.export_npz(tmp_path / "warm.npz")
        tracemalloc.start()
        store.export_npz(tmp_path / "samples.npz")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1024 * 32 * 32 * 3 / 2


def test_an_export_of_an_unfinished_store_leaves_no_file(tmp_path: Path) -> None:
    store = filled(tmp_path / "samples.zarr")
    (tmp_path / "samples.zarr/images/c/2/0/0/0").unlink()
    with pytest.raises(IncompleteData, match="shard 2 of 'images' is missing"):
        store.export_npz(tmp_path / "samples.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["samples.zarr"]


def test_an_order_beyond_sixteen_bits_is_never_stored_wrong(tmp_path: Path) -> None:
    store = SampleStore.create(tmp_path / "samples.zarr", count=1, resolution=8, grid=GRID, shard=1)
    with pytest.raises(AssertionError, match="orders: beyond uint16"):
        store.write_shard(
            0,
            images=np.zeros((1, 8, 8, 3), np.uint8),
            tokens=np.zeros((1, 4), np.int64),
            orders=np.full((1, 4), 65536),
            scores=np.zeros((1, 4), np.float32),
            labels=np.zeros(1, np.int64),
            seeds=np.zeros(1, np.int64),
        )
