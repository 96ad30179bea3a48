"""Images as tokens: a zarr store of codes, labels, sample ids and splits, and its content in memory.

Rows are samples, in the order of the index; a sample's views (the picture, its mirror image) lie side
by side. The store is the archive; training reads its split once and keeps it as it is stored (650 MB a
view for ImageNet).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32, Int64, Integer, UInt8

from oarpipe.base.grid import Grid
from oarpipe.config.datasets import Split
from oarpipe.data.sharded import Column, ShardedStore
from oarpipe.errors import BadInput, IncompleteData

SPLITS = ("train", "test")  # a split's number is its place here
_CHUNK = 8192


def split_numbers(names: Iterable[str]) -> UInt8[np.ndarray, " n"]:
    """The numbers of splits, as a store holds them."""
    return np.array([SPLITS.index(name) for name in names], np.uint8)


def _selected(splits: UInt8[np.ndarray, " n"], split: Split, count: int | None) -> np.ndarray:
    """Which rows are of a split, or `count` of these; fewer if there are not so many."""
    rows = np.arange(len(splits)) if split == "all" else np.flatnonzero(splits == SPLITS.index(split))
    if count is None or count >= len(rows):
        return rows
    return rows[np.arange(count) * len(rows) // count]


@dataclass(frozen=True)
class TokenSet:
    """Tokens in memory; `tokens[i, a]` are the raster codes of view `a` of the sample of row `i`."""

    tokens: Integer[np.ndarray, "n A N"]
    labels: Int32[np.ndarray, " n"]
    sample_ids: Int64[np.ndarray, " n"]
    splits: UInt8[np.ndarray, " n"]
    grid: Grid
    codebook: int
    classes: list[str]
    views: list[str]

    def __len__(self) -> int:
        return len(self.tokens)

    def select(self, split: Split, count: int | None = None) -> "TokenSet":
        """The rows of one split, or of both, in the same order; or `count` of them, evenly spread."""
        if split == "all" and count is None:
            return self
        kept = _selected(self.splits, split, count)
        return TokenSet(
            tokens=self.tokens[kept],
            labels=self.labels[kept],
            sample_ids=self.sample_ids[kept],
            splits=self.splits[kept],
            grid=self.grid,
            codebook=self.codebook,
            classes=self.classes,
            views=self.views,
        )


class TokenStore:
    """The archive of a `TokenSet`, written by whole shards.

    store = TokenStore.create(path, rows=9, grid=Grid(6, 6), codebook=64, classes=..., views=..., shard=4)
    for i in store.missing():
        store.write_shard(i, tokens, labels, sample_ids, splits)  # the rows of store.range_of(i)
    tokens = TokenStore.open(path).read()
    """

    def __init__(self, store: ShardedStore) -> None:
        self._store = store
        facts = store.facts
        try:
            self.grid = Grid(*facts["grid"])
            self.codebook = int(facts["codebook"])
            self.classes = [str(name) for name in facts["classes"]]
            self.views = [str(name) for name in facts["views"]]
        except (KeyError, TypeError) as error:
            raise IncompleteData(
                f"{store.path}: a store, but not of tokens; name one made by tokenize"
            ) from error

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        rows: int,
        grid: Grid,
        codebook: int,
        classes: Sequence[str],
        views: Sequence[str],
        shard: int,
    ) -> "TokenStore":
        """An empty store, or the one that is there if it is for the same tokens; safe among processes."""
        dtype = "uint16" if codebook <= 65535 else "uint32"  # the last number of the type stays free
        columns = {
            "tokens": Column((len(views), grid.positions), dtype, _CHUNK),
            "labels": Column((), "int32", _CHUNK),
            "sample_ids": Column((), "int64", _CHUNK),
            "splits": Column((), "uint8", _CHUNK),
        }
        facts = {
            "grid": [grid.height, grid.width],
            "codebook": codebook,
            "classes": list(classes),
            "views": list(views),
        }
        return cls(ShardedStore.create(path, rows=rows, shard=shard, columns=columns, facts=facts))

    @classmethod
    def open(cls, path: Path) -> "TokenStore":
        """A store that exists; `IncompleteData` if there is none."""
        return cls(ShardedStore.open(path))

    @property
    def rows(self) -> int:
        """How many samples a complete store holds."""
        return self._store.rows

    @property
    def shards(self) -> int:
        """How many shards a complete store has."""
        return self._store.shards

    @property
    def shard(self) -> int:
        """How many rows a shard holds; the last one may hold fewer."""
        return self._store.shard

    def range_of(self, i: int) -> range:
        """The rows of shard `i`."""
        return self._store.range_of(i)

    def missing(self) -> list[int]:
        """The shards not written yet."""
        return self._store.missing()

    def write_shard(
        self,
        i: int,
        tokens: Int[np.ndarray, "n A N"],
        labels: Int[np.ndarray, " n"],
        sample_ids: Int64[np.ndarray, " n"],
        splits: UInt8[np.ndarray, " n"],
    ) -> None:
        """Writes the rows of shard `i`; `BadInput` for a code or a label out of range."""
        for name, values, stop in (("code", tokens, self.codebook), ("label", labels, len(self.classes))):
            wrong = values[(values < 0) | (values >= stop)]
            if wrong.size:
                raise BadInput(f"{self._store.path}: {name} {wrong[0]} in shard {i}, expected 0..{stop - 1}")
        self._store.write(i, {"tokens": tokens, "labels": labels, "sample_ids": sample_ids, "splits": splits})

    def rows_of(self, split: Split, count: int | None = None) -> Int64[np.ndarray, " m"]:
        """The rows that `TokenSet.select` selects, without reading the tokens."""
        return _selected(self._store.read("splits"), split, count)

    def sample_ids(self, split: Split, count: int | None = None) -> Int64[np.ndarray, " m"]:
        """The samples of these rows."""
        return self._store.take("sample_ids", self.rows_of(split, count))

    def files_of(self, rows: Int64[np.ndarray, " m"]) -> list[Path]:
        """The files that hold some rows."""
        return self._store.files_of(rows)

    def read(self, rows: Int64[np.ndarray, " m"] | None = None) -> TokenSet:
        """Rows in ascending order, or all, in memory; `IncompleteData` names a missing or damaged shard."""

        def read(name: str) -> np.ndarray:
            return self._store.read(name) if rows is None else self._store.take(name, rows)

        return TokenSet(
            tokens=read("tokens"),
            labels=read("labels"),
            sample_ids=read("sample_ids"),
            splits=read("splits"),
            grid=self.grid,
            codebook=self.codebook,
            classes=self.classes,
            views=self.views,
        )
