"""The orders of an extraction in parquet: one row a sample and view, for any tool to read.

An extraction writes parts named by the rows they hold, so that other sharding finds them again; the
merge checks them and makes one sorted table. Provenance lies in the file's metadata, key `oarpipe`, beside
a checksum of everything: parquet's own leave out what says how the pages are to be read.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32, Int16, Int32, Int64, UInt8, UInt16

from oarpipe.base.files import write_atomically
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData

NO_CAPTION = -1
_ROW_GROUP = 16_384
_KEY, _CHECKSUM = b"oarpipe", b"oarpipe.crc32"


@dataclass(frozen=True)
class OrderTable:
    """`order[r, t]` is the raster position filled at step `t`, `score[r, t]` the score it was chosen with.

    `mean_step_distance` is in cells; `caption` is NO_CAPTION where a sample has none.
    """

    sample_id: Int64[np.ndarray, " R"]
    view: UInt8[np.ndarray, " R"]
    caption: Int16[np.ndarray, " R"]
    label: Int32[np.ndarray, " R"]
    order: UInt16[np.ndarray, "R N"]
    score: Float32[np.ndarray, "R N"]
    mean_step_distance: Float32[np.ndarray, " R"]
    provenance: dict[str, str]

    def __len__(self) -> int:
        return len(self.sample_id)

    def write(self, file: Path) -> None:
        """Writes the table, which must be valid and sorted by (sample_id, view)."""
        problem = self.problem()
        assert problem is None, f"{file}: {problem}"
        write_atomically(file, lambda partial: _write(partial, [self]))

    @classmethod
    def read(cls, file: Path, most: int | None = None) -> "OrderTable":
        """A table, or `most` of its rows, evenly spread; `IncompleteData` names the first wrong row."""
        names = [f.name for f in fields(cls) if f.name != "provenance"]
        columns, provenance = _validated(file, names, most)
        return cls(**columns, provenance=provenance)

    @property
    def keys(self) -> Int64[np.ndarray, " R"]:
        """One number for each row's sample and view, which is a uint8."""
        keys: np.ndarray = self.sample_id * 256 + self.view
        return keys

    def problem(self) -> str | None:
        """The first row that is no permutation or out of sequence, in words; None for a valid table."""
        return _problem(self.sample_id, self.view, self.order)


@dataclass(frozen=True)
class Orders:
    """The columns of an order table by which orders are looked up: a third of it, since scores are not."""

    sample_id: Int64[np.ndarray, " R"]
    view: UInt8[np.ndarray, " R"]
    label: Int32[np.ndarray, " R"]
    order: UInt16[np.ndarray, "R N"]

    @classmethod
    def read(cls, file: Path) -> "Orders":
        """These columns of a table, validated as `OrderTable.read` does."""
        return cls(**_validated(file, [f.name for f in fields(cls)])[0])


def merge_parts(parts: Sequence[Path], sample_ids: Int64[np.ndarray, " n"], views: int, file: Path) -> None:
    """One table of all parts, which are given in the order of their rows; one row group is held at a time.

    `IncompleteData` names a (sample, view) that is there twice, never or uncalled for;
    `FingerprintMismatch` a part of another extraction.
    """

    def checked() -> Iterator[OrderTable]:
        row, first = 0, None
        for part in parts:
            table = OrderTable.read(part)
            first = table if first is None else first
            if table.provenance != first.provenance or table.order.shape[1] != first.order.shape[1]:
                raise FingerprintMismatch(
                    f"{part}: from another extraction than {parts[0]}; delete it and extract again"
                )
            rows = np.arange(row, min(row + len(table), len(sample_ids) * views))
            if not np.array_equal(table.keys, sample_ids[rows // views] * 256 + rows % views):
                _name_the_wrong_row(parts, sample_ids, views)
            row += len(table)
            yield table
        if row < len(sample_ids) * views:
            _name_the_wrong_row(parts, sample_ids, views)

    write_atomically(file, lambda partial: _write(partial, checked()))


def _name_the_wrong_row(parts: Sequence[Path], sample_ids: Int64[np.ndarray, " n"], views: int) -> NoReturn:
    """Says which (sample, view) of all parts is there twice, never, or uncalled for."""
    wanted = (sample_ids[:, None] * 256 + np.arange(views)).reshape(-1)
    found, counts = np.unique(
        np.concatenate([OrderTable.read(part).keys for part in parts]), return_counts=True
    )
    for what, pairs in (
        ("twice", found[counts > 1]),
        ("not at all", np.setdiff1d(wanted, found)),
        ("but is not among the tokens", np.setdiff1d(found, wanted)),
    ):
        if len(pairs):
            sample, view = divmod(int(pairs[0]), 256)
            raise IncompleteData(
                f"orders: sample {sample}, view {view} is there {what} ({len(pairs)} such rows); "
                "delete the parts that hold it and extract again"
            )
    raise IncompleteData(
        f"{parts[0].parent}: parts hold other rows than their names say; delete them and extract again"
    )


def part_name(first: int, stop: int) -> str:
    """The file of rows `first..stop`; row `i * A + a` is view `a` of the `i`-th sample of the split."""
    return f"orders-{first:09d}-{stop:09d}.parquet"


def part_ranges(rows: int, part: int) -> list[range]:
    """The rows of every part, `part` rows each; the last one may be shorter."""
    return [range(first, min(first + part, rows)) for first in range(0, rows, part)]


def _schema(positions: int) -> pa.Schema:
    return pa.schema(
        {
            "sample_id": pa.int64(),
            "view": pa.uint8(),
            "caption": pa.int16(),
            "label": pa.int32(),
            "order": pa.list_(pa.uint16(), positions),
            "score": pa.list_(pa.float32(), positions),
            "mean_step_distance": pa.float32(),
        }
    )


def _to_arrow(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind)
    return pa.array(values, type=kind)


def _write(file: Path, tables: Iterable[OrderTable]) -> None:
    sums: dict[str, int] = {}
    groups = _row_groups(_summed(tables, sums))
    first = next(groups)
    with pq.ParquetWriter(
        file,
        first.schema,
        compression="zstd",
        use_dictionary=["view", "caption", "label", "order.list.element"],
        column_encoding={"score.list.element": "BYTE_STREAM_SPLIT"},
        write_page_checksum=True,
    ) as writer:
        for group in chain([first], groups):
            writer.write_table(group.combine_chunks(), _ROW_GROUP)
        writer.add_key_value_metadata({_CHECKSUM: json.dumps(sums)})


def _summed(tables: Iterable[OrderTable], sums: dict[str, int]) -> Iterator[OrderTable]:
    """The tables, whose columns' and provenance's CRC-32 are in `sums` when they have passed."""
    for table in tables:
        for name in _schema(0).names:
            _sum(sums, name, getattr(table, name))
        sums["provenance"] = zlib.crc32(_told(table.provenance))
        yield table


def _sum(sums: dict[str, int], name: str, values: np.ndarray) -> None:
    sums[name] = zlib.crc32(np.ascontiguousarray(values).data, sums.get(name, 0))


def _told(provenance: dict[str, str]) -> bytes:
    return json.dumps(provenance, sort_keys=True).encode()


def _row_groups(tables: Iterable[OrderTable]) -> Iterator[pa.Table]:
    """The rows of all tables cut anew, so that the file does not tell how they were cut before."""
    waiting = None
    for table in tables:
        schema = _schema(table.order.shape[1]).with_metadata({_KEY: _told(table.provenance)})
        columns = [_to_arrow(getattr(table, name), schema.field(name).type) for name in schema.names]
        rows = pa.table(columns, schema)
        waiting = rows if waiting is None else pa.concat_tables([waiting, rows])
        while len(waiting) > _ROW_GROUP:
            yield waiting[:_ROW_GROUP]
            waiting = waiting[_ROW_GROUP:]
    yield waiting


def _validated(
    file: Path, names: Sequence[str], most: int | None = None
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Columns, of which three are checked, and the provenance; `IncompleteData` names what is wrong."""
    if not file.is_file():
        raise IncompleteData(f"{file}: no such order table; run the extraction that makes it")
    try:
        columns, provenance = _read(file, names, most)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        detail = " ".join(str(error).split())
        raise IncompleteData(
            f"{file}: truncated or damaged ({detail}); delete it and extract again"
        ) from error
    problem = _problem(columns["sample_id"], columns["view"], columns["order"])
    if problem:
        raise IncompleteData(f"{file}: {problem}; delete it and extract again")
    return columns, provenance


def _problem(
    sample_id: Int64[np.ndarray, " R"], view: UInt8[np.ndarray, " R"], order: UInt16[np.ndarray, "R N"]
) -> str | None:
    expected = np.arange(order.shape[1], dtype=np.uint16)
    for start in range(0, len(order), _ROW_GROUP):
        wrong = (np.sort(order[start : start + _ROW_GROUP], axis=1) != expected).any(axis=1)
        if wrong.any():
            row = start + int(wrong.argmax())
            return (
                f"row {row} (sample {sample_id[row]}, view {view[row]}): "
                f"its order is no permutation of 0..{len(expected) - 1}"
            )
    same = sample_id[1:] == sample_id[:-1]
    later = (sample_id[1:] > sample_id[:-1]) | (same & (view[1:] > view[:-1]))
    if not later.all():
        row = 1 + int((~later).argmax())
        return f"row {row} (sample {sample_id[row]}, view {view[row]}): not sorted, or there twice"
    return None


def _read(file: Path, names: Sequence[str], most: int | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Row group by row group into arrays made beforehand, so that no second copy is ever held."""
    with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
        schema = parquet.schema_arrow
        kind = schema.field("order").type
        positions = kind.list_size if pa.types.is_fixed_size_list(kind) else 0
        if not schema.equals(_schema(positions)):
            raise ValueError(
                f"expected the columns {', '.join(_schema(positions).names)}, got {schema.names}"
            )
        rows = parquet.metadata.num_rows
        count = rows if most is None else min(most, rows)  # row i of these is row i * rows // count
        columns = {
            f.name: np.empty((count, positions), f.type.value_type.to_pandas_dtype())
            if pa.types.is_fixed_size_list(f.type)
            else np.empty(count, f.type.to_pandas_dtype())
            for f in map(schema.field, names)
        }
        row, sums = 0, dict.fromkeys(names, 0)
        for batch in parquet.iter_batches(_ROW_GROUP, columns=list(names)):
            begin, end = (-(-edge * count // rows) for edge in (row, row + len(batch)))
            kept = np.arange(begin, end) * rows // count - row
            for name, out in columns.items():
                column = batch.column(name)
                values = column.flatten() if out.ndim == 2 else column
                read = values.to_numpy(zero_copy_only=False).reshape(-1, *out.shape[1:])
                out[begin:end] = read[kept]
                _sum(sums, name, read)
            row += len(batch)
        provenance = json.loads(schema.metadata[_KEY])
        sums["provenance"] = zlib.crc32(_told(provenance))
        # Those of older files had none.
        written = json.loads(parquet.metadata.metadata.get(_CHECKSUM, b"null")) or sums
    if any(written[name] != found for name, found in sums.items()):
        raise ValueError("its content is not what was written")
    return columns, {str(key): str(value) for key, value in provenance.items()}


def rows_in_common(
    first: OrderTable, second: OrderTable
) -> tuple[Int64[np.ndarray, " R"], Int64[np.ndarray, " R"]]:
    """The rows of two extractions that are about the same view of the same sample; `BadInput` if none are."""
    sizes = first.order.shape[1], second.order.shape[1]
    if sizes[0] != sizes[1]:
        raise BadInput(
            f"orders of {sizes[0]} and of {sizes[1]} positions do not compare; name two of one grid"
        )
    _, rows, others = np.intersect1d(first.keys, second.keys, assume_unique=True, return_indices=True)
    if not len(rows):
        raise BadInput("the two extractions have no image in common; name two of one split")
    return rows, others
