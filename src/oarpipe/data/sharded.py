"""Arrays that share their rows, in one zarr group, written and resumed by whole shards.

A shard is one file per array, so writers that own whole shards never meet. Chunks inside a shard
carry CRC32C. zarr reads a missing shard as fill values without a word; here it is an error.
"""

import itertools
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from jaxtyping import Int64
from zarr.codecs import BloscCodec, Crc32cCodec

from oarpipe.base.files import remove
from oarpipe.errors import FingerprintMismatch, IncompleteData, naming

# What zarr and its codecs raise on files that are cut short, altered or unreadable.
_DAMAGE = (ValueError, RuntimeError, OSError, KeyError, IndexError, TypeError)


@dataclass(frozen=True)
class Column:
    """One array of a store: the shape of a row, its dtype, and how many rows a chunk holds at most."""

    row: tuple[int, ...]
    dtype: str
    chunk: int

    @property
    def fill(self) -> int | float:
        """A value that no row holds: the last of an unsigned type, -1, or NaN."""
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            return float("nan")
        return -1 if kind.kind == "i" else int(np.iinfo(kind).max)


class ShardedStore:
    """`columns` arrays of `rows` rows, `shard` rows a file; `facts` are what the rows mean.

    store = ShardedStore.create(path, rows=100, shard=32, columns={...}, facts={...})
    for i in store.missing():
        store.write(i, {"tokens": ..., "labels": ...})
    """

    def __init__(
        self, path: Path, *, rows: int, shard: int, columns: dict[str, list[int]], facts: dict[str, Any]
    ) -> None:
        self.path = path
        self.rows = rows
        self.shard = shard
        self.columns = columns  # name -> shape of a row
        self.facts = facts

    @classmethod
    def create(
        cls, path: Path, *, rows: int, shard: int, columns: Mapping[str, Column], facts: Mapping[str, Any]
    ) -> "ShardedStore":
        """Makes an empty store, or opens the one that is there; `FingerprintMismatch` if it is another.

        Safe when several processes call it at once: the first to rename wins, the others open its store.
        """
        shapes = {name: list(columns[name].row) for name in sorted(columns)}
        wanted = {"rows": rows, "shard": shard, "columns": shapes, "facts": dict(facts)}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with naming(path), tempfile.TemporaryDirectory(suffix=".partial", dir=path.parent) as folder:
                new = Path(folder) / path.name
                _make(new, columns, wanted)
                try:
                    os.rename(new, path)
                except OSError:
                    if not path.exists():
                        raise
        store = cls.open(path)
        found = {"rows": store.rows, "shard": store.shard, "columns": store.columns, "facts": store.facts}
        differing = [key for key in wanted if found[key] != wanted[key]]
        if differing:
            shown = "; ".join(f"{key} {found[key]} instead of {wanted[key]}" for key in differing)
            raise FingerprintMismatch(f"{path}: holds another store ({shown}); delete it and run again")
        return store

    @classmethod
    def open(cls, path: Path) -> "ShardedStore":
        """A store that exists; `IncompleteData` if it is missing or not one of ours."""
        if not path.is_dir():
            raise IncompleteData(f"{path}: no such store; run the stage that makes it")
        try:
            spec: Any = zarr.open_group(path, mode="r").attrs["oarpipe"]
            return cls(
                path, rows=spec["rows"], shard=spec["shard"], columns=spec["columns"], facts=spec["facts"]
            )
        except _DAMAGE as error:
            raise IncompleteData(
                f"{path}: its metadata are damaged or not oarpipe's; delete it and run its stage again"
            ) from error

    @property
    def shards(self) -> int:
        """How many shards a complete store has."""
        return -(-self.rows // self.shard)

    def range_of(self, i: int) -> range:
        """The rows of shard `i`; the last one may be shorter."""
        return range(i * self.shard, min((i + 1) * self.shard, self.rows))

    def missing(self) -> list[int]:
        """The shards that some array has no file for, in ascending order."""
        return [i for i in range(self.shards) if not all(self._has(name, i) for name in self.columns)]

    def file_of(self, name: str, i: int) -> Path:
        """The file that holds shard `i` of array `name`."""
        return self.path / name / "c" / str(i) / Path(*["0"] * len(self.columns[name]))

    def write(self, i: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes one whole shard of every array; a shard already there is replaced."""
        rows = self.range_of(i)
        assert sorted(values) == sorted(self.columns), f"got {list(values)}, expected {list(self.columns)}"
        for name, value in values.items():
            expected = (len(rows), *self.columns[name])
            assert value.shape == expected, f"{name}: {value.shape} for shard {i}, expected {expected}"
            array = self._array(name)
            stored = value.astype(array.dtype)
            assert value.dtype == array.dtype or np.array_equal(stored, value), (
                f"{name}: beyond {array.dtype}"
            )
            # Removed first: zarr merges a short last shard with what is there, which may be damaged.
            file = self.file_of(name, i)
            with naming(file):
                file.unlink(missing_ok=True)
                array[rows.start : rows.stop] = stored

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start..stop` of one array; `IncompleteData` names a missing or damaged shard."""
        stop = self.rows if stop is None else min(stop, self.rows)
        array = self._array(name)
        out = np.empty((stop - start, *array.shape[1:]), array.dtype)
        for i in range(start // self.shard, -(-stop // self.shard)):
            begin, end = max(start, i * self.shard), min(stop, (i + 1) * self.shard)
            if not self._has(name, i):
                raise IncompleteData(
                    f"{self.path}: shard {i} of '{name}' is missing ({len(self.missing())} of {self.shards} "
                    "shards are incomplete); run its stage again to write it"
                )
            try:
                out[begin - start : end - start] = array[begin:end]
            except _DAMAGE as error:
                raise IncompleteData(
                    f"{self.path}: shard {i} of '{name}' is damaged: its checksum is wrong; "
                    f"delete {self.file_of(name, i)} and run its stage again"
                ) from error
        return out

    def take(self, name: str, rows: Int64[np.ndarray, " m"]) -> np.ndarray:
        """Some rows of one array, given in ascending order; one shard is held beside them at a time."""
        out = np.empty((len(rows), *self.columns[name]), self._array(name).dtype)
        bounds = np.searchsorted(rows, np.arange(self.shards + 1) * self.shard)
        for begin, end in itertools.pairwise(bounds):
            if begin < end:
                first, last = int(rows[begin]), int(rows[end - 1])
                out[begin:end] = self.read(name, first, last + 1)[rows[begin:end] - first]
        return out

    def files_of(self, rows: Int64[np.ndarray, " m"]) -> list[Path]:
        """The files, of all arrays, that hold these rows."""
        return [self.file_of(name, int(i)) for i in np.unique(rows // self.shard) for name in self.columns]

    def check(self) -> None:
        """Reads everything once; `IncompleteData` names a missing or damaged shard."""
        for name in self.columns:
            for i in range(self.shards):
                self.read(name, self.range_of(i).start, self.range_of(i).stop)

    def _has(self, name: str, i: int) -> bool:
        file = self.file_of(name, i)
        return file.is_file() and file.stat().st_size > 0  # zarr reads an empty file as fill values, too

    def _array(self, name: str) -> "zarr.Array[Any]":
        # A chunk of nothing but fill values (white images) must be written all the same; open_array's
        # own `config` is ignored by zarr 3.1 for arrays that exist.
        try:
            with zarr.config.set({"array.write_empty_chunks": True}):
                return zarr.open_array(self.path / name, mode="r+")
        except _DAMAGE as error:
            raise IncompleteData(
                f"{self.path}: the metadata of '{name}' are damaged or missing; "
                "delete the store and run its stage again"
            ) from error


def publish(source: Path, target: Path) -> None:
    """Moves a finished store to its final name; after a kill in between, calling it again is right.

    Every checksum is looked at before, while a damaged shard is all that must be made anew.
    """
    ShardedStore.open(unpublished(source, target)).check()
    moved = _moved(source)
    if source.exists():
        for partial in source.rglob("*.partial"):  # left by killed writers; equal stores have equal files
            remove(partial)
        moved.touch()
        remove(target)
        os.rename(source, target)
    assert moved.exists(), f"{source} was never made"


def unpublished(source: Path, target: Path) -> Path:
    """Where the store lies now: at `target` if `publish` has already moved it there."""
    return target if not source.exists() and _moved(source).exists() and target.exists() else source


def _moved(source: Path) -> Path:
    return source.with_name(f"{source.name}.published")


def _make(path: Path, columns: Mapping[str, Column], spec: dict[str, Any]) -> None:
    group = zarr.open_group(path, mode="w-", zarr_format=3, attributes={"oarpipe": spec})
    for name, column in columns.items():
        chunk = _divisor(spec["shard"], column.chunk)
        group.create_array(
            name,
            shape=(spec["rows"], *column.row),
            shards=(spec["shard"], *column.row),
            chunks=(chunk, *column.row),
            dtype=column.dtype,
            fill_value=column.fill,
            compressors=[BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()],
        )


def _divisor(number: int, limit: int) -> int:
    """The largest divisor of `number` that is at most `limit`: shards hold whole chunks."""
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)
