"""The orders of an extraction in parquet: one row a sample and view, for any tool to read.

An extraction writes parts named by the rows they hold, so that other sharding finds them again; the
merge checks them and makes one sorted table. Provenance lies in the file's metadata, key `oarpipe`, beside
a checksum of everything: parquet's own leave out what says how the pages are to be read.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

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
        schema = _schema(self.order.shape[1]).with_metadata(
            {_KEY: json.dumps(self.provenance, sort_keys=True), _CHECKSUM: self._crc32()}
        )
        table = pa.table(
            [_to_arrow(getattr(self, name), schema.field(name).type) for name in schema.names], schema
        )
        write_atomically(
            file,
            lambda partial: pq.write_table(
                table,
                partial,
                compression="zstd",
                row_group_size=_ROW_GROUP,
                use_dictionary=["view", "caption", "label", "order.list.element"],
                column_encoding={"score.list.element": "BYTE_STREAM_SPLIT"},
                write_page_checksum=True,
            ),
        )

    @classmethod
    def read(cls, file: Path) -> "OrderTable":
        """A table, validated; `IncompleteData` names the file and the first row that is wrong."""
        if not file.is_file():
            raise IncompleteData(f"{file}: no such order table; run the extraction that makes it")
        try:
            table = _read(file)
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            detail = " ".join(str(error).split())
            raise IncompleteData(
                f"{file}: truncated or damaged ({detail}); delete it and extract again"
            ) from error
        problem = table.problem()
        if problem:
            raise IncompleteData(f"{file}: {problem}; delete it and extract again")
        return table

    @classmethod
    def merge(cls, parts: Sequence[Path], sample_ids: Int64[np.ndarray, " n"], views: int) -> "OrderTable":
        """One table of all parts; every view of every sample must be there once, from one extraction."""
        tables = [cls.read(part) for part in parts]
        for part, table in zip(parts, tables, strict=True):
            if table.provenance != tables[0].provenance or table.order.shape[1] != tables[0].order.shape[1]:
                raise FingerprintMismatch(
                    f"{part}: from another extraction than {parts[0]}; delete it and extract again"
                )
        joined = {
            f.name: np.concatenate([getattr(table, f.name) for table in tables])
            for f in fields(cls)
            if f.name != "provenance"
        }
        rows = np.lexsort((joined["view"], joined["sample_id"]))
        if not (rows[:-1] < rows[1:]).all():
            joined = {name: values[rows] for name, values in joined.items()}
        merged = cls(**joined, provenance=tables[0].provenance)
        merged.check_covers(sample_ids, views)
        return merged

    def check_covers(self, sample_ids: Int64[np.ndarray, " n"], views: int) -> None:
        """`IncompleteData` names the first (sample, view) that is there twice, never, or uncalled for."""
        pair = self.sample_id * 256 + self.view  # a view is a uint8
        wanted = (sample_ids[:, None] * 256 + np.arange(views)).reshape(-1)
        found, counts = np.unique(pair, return_counts=True)
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

    def _crc32(self) -> str:
        """A checksum of provenance and columns."""
        found = zlib.crc32(json.dumps(self.provenance, sort_keys=True).encode())
        for name in sorted(f.name for f in fields(self) if f.name != "provenance"):
            found = zlib.crc32(np.ascontiguousarray(getattr(self, name)).data, found)
        return f"{found:08x}"

    def problem(self) -> str | None:
        """The first row that is no permutation or out of sequence, in words; None for a valid table."""
        expected = np.arange(self.order.shape[1], dtype=np.uint16)
        for start in range(0, len(self), _ROW_GROUP):
            wrong = (np.sort(self.order[start : start + _ROW_GROUP], axis=1) != expected).any(axis=1)
            if wrong.any():
                row = start + int(wrong.argmax())
                return (
                    f"row {row} (sample {self.sample_id[row]}, view {self.view[row]}): "
                    f"its order is no permutation of 0..{len(expected) - 1}"
                )
        same = self.sample_id[1:] == self.sample_id[:-1]
        later = (self.sample_id[1:] > self.sample_id[:-1]) | (same & (self.view[1:] > self.view[:-1]))
        if not later.all():
            row = 1 + int((~later).argmax())
            return (
                f"row {row} (sample {self.sample_id[row]}, view {self.view[row]}): not sorted, or there twice"
            )
        return None


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


def _read(file: Path) -> OrderTable:
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
        columns = {
            f.name: np.empty((rows, positions), f.type.value_type.to_pandas_dtype())
            if pa.types.is_fixed_size_list(f.type)
            else np.empty(rows, f.type.to_pandas_dtype())
            for f in schema
        }
        row = 0
        for batch in parquet.iter_batches(_ROW_GROUP):
            for name, out in columns.items():
                column = batch.column(name)
                values = column.flatten() if out.ndim == 2 else column
                out[row : row + len(batch)] = values.to_numpy(zero_copy_only=False).reshape(
                    -1, *out.shape[1:]
                )
            row += len(batch)
        provenance = json.loads(schema.metadata[_KEY])
    table = OrderTable(**columns, provenance={str(key): str(value) for key, value in provenance.items()})
    checksum = table._crc32().encode()
    if schema.metadata.get(_CHECKSUM, checksum) != checksum:  # those of older files had none
        raise ValueError("its content is not what was written")
    return table


def rows_in_common(
    first: OrderTable, second: OrderTable
) -> tuple[Int64[np.ndarray, " R"], Int64[np.ndarray, " R"]]:
    """The rows of two extractions that are about the same view of the same sample; `BadInput` if none are."""
    sizes = first.order.shape[1], second.order.shape[1]
    if sizes[0] != sizes[1]:
        raise BadInput(
            f"orders of {sizes[0]} and of {sizes[1]} positions do not compare; name two of one grid"
        )
    keys, others_keys = (table.sample_id * 256 + table.view for table in (first, second))  # a view is a uint8
    _, rows, others = np.intersect1d(keys, others_keys, assume_unique=True, return_indices=True)
    if not len(rows):
        raise BadInput("the two extractions have no image in common; name two of one split")
    return rows, others
