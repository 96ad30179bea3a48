"""Generated samples: images with the tokens, orders, scores, labels and seeds they came from.

Everything streams: neither writing, reading in batches nor the export grows with the count.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int64, UInt8

from oarpipe.base.files import write_atomically
from oarpipe.base.grid import Grid
from oarpipe.data.sharded import Column, ShardedStore
from oarpipe.errors import IncompleteData

_IMAGES_A_CHUNK = 64
_ROWS_A_CHUNK = 8192


class SampleStore:
    """`count` samples, written by whole shards; `images` are uint8 RGB, NHWC.

    store = SampleStore.create(path, count=1000, resolution=24, grid=Grid(6, 6), shard=512)
    for i in store.missing():
        store.write_shard(i, images=..., tokens=..., orders=..., scores=..., labels=..., seeds=...)
    for batch in store.batches(64):
        batch["images"], batch["labels"]
    """

    def __init__(self, store: ShardedStore) -> None:
        self._store = store
        try:
            self.grid = Grid(*store.facts["grid"])
            self.resolution = int(store.facts["resolution"])
        except (KeyError, TypeError) as error:
            raise IncompleteData(
                f"{store.path}: a store, but not of samples; name one made by generate"
            ) from error

    @classmethod
    def create(cls, path: Path, *, count: int, resolution: int, grid: Grid, shard: int) -> "SampleStore":
        """An empty store, or the one that is there if it is for the same samples; safe among processes."""
        positions = (grid.positions,)
        columns = {
            "images": Column((resolution, resolution, 3), "uint8", _IMAGES_A_CHUNK),
            "tokens": Column(positions, "int32", _ROWS_A_CHUNK),
            "orders": Column(positions, "uint16", _ROWS_A_CHUNK),
            "scores": Column(positions, "float32", _ROWS_A_CHUNK),
            "labels": Column((), "int32", _ROWS_A_CHUNK),
            "seeds": Column((), "int64", _ROWS_A_CHUNK),
        }
        facts = {"grid": [grid.height, grid.width], "resolution": resolution}
        return cls(ShardedStore.create(path, rows=count, shard=shard, columns=columns, facts=facts))

    @classmethod
    def open(cls, path: Path) -> "SampleStore":
        """A store that exists; `IncompleteData` if there is none."""
        return cls(ShardedStore.open(path))

    @property
    def count(self) -> int:
        """How many samples a complete store holds."""
        return self._store.rows

    @property
    def shards(self) -> int:
        """How many shards a complete store has."""
        return self._store.shards

    def range_of(self, i: int) -> range:
        """The samples of shard `i`."""
        return self._store.range_of(i)

    def missing(self) -> list[int]:
        """The shards not written yet."""
        return self._store.missing()

    def write_shard(
        self,
        i: int,
        *,
        images: UInt8[np.ndarray, "n H W 3"],
        tokens: Int[np.ndarray, "n N"],
        orders: Int[np.ndarray, "n N"],
        scores: Float32[np.ndarray, "n N"],
        labels: Int[np.ndarray, " n"],
        seeds: Int64[np.ndarray, " n"],
    ) -> None:
        """Writes the samples of shard `i`; tokens are in raster order, scores in the order of filling."""
        self._store.write(
            i,
            {
                "images": images,
                "tokens": tokens,
                "orders": orders,
                "scores": scores,
                "labels": labels,
                "seeds": seeds,
            },
        )

    def read(self, name: str) -> np.ndarray:
        """One whole array: images, tokens, orders, scores, labels or seeds."""
        return self._store.read(name)

    def rows(self, name: str, samples: Sequence[int]) -> np.ndarray:
        """Some rows of one array, in the order named, without reading what lies between them."""
        return np.concatenate([self._store.read(name, row, row + 1) for row in samples])

    def batches(self, size: int) -> Iterator[dict[str, np.ndarray]]:
        """All arrays, `size` samples at a time, in order; the last batch may be shorter."""
        for start in range(0, self.count, size):
            yield {name: self._store.read(name, start, start + size) for name in self._store.columns}

    def export_npz(self, file: Path) -> None:
        """Writes ADM's sample file: `arr_0`, uint8 NHWC, the form its evaluator reads."""
        write_atomically(file, self._write_npz)

    def _write_npz(self, file: Path) -> None:
        shape = (self.count, self.resolution, self.resolution, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with (
            zipfile.ZipFile(file, "w") as archive,
            archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as member,
        ):
            np.lib.format.write_array_header_1_0(member, header)
            for start in range(0, self.count, _IMAGES_A_CHUNK):
                member.write(self._store.read("images", start, start + _IMAGES_A_CHUNK).tobytes())
