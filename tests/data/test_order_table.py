"""Order tables are plain parquet for every tool, and only valid ones are read or merged."""

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oarpipe.data.order_table import NO_CAPTION, Orders, OrderTable, merge_parts, part_name, part_ranges
from oarpipe.errors import FingerprintMismatch, IncompleteData

POSITIONS = 9
PROVENANCE = {"grid": "3x3", "model": "a1b2", "tokens": "c3d4", "policy": "greedy", "fingerprint": "e5f6"}


def table(first: int, stop: int, views: int = 1, positions: int = POSITIONS) -> OrderTable:
    """Rows `first..stop` of the (sample, view) pairs, the same whichever part they are in."""
    rows = np.arange(first, stop)
    orders = [np.random.default_rng(row).permutation(positions) for row in rows]
    return OrderTable(
        sample_id=rows // views * 10,
        view=(rows % views).astype(np.uint8),
        caption=np.full(len(rows), NO_CAPTION, np.int16),
        label=(rows // views % 3).astype(np.int32),
        order=np.array(orders, np.uint16).reshape(len(rows), positions),
        score=np.random.default_rng(first).random((len(rows), positions), dtype=np.float32),
        mean_step_distance=np.linspace(1, 2, len(rows), dtype=np.float32),
        provenance=PROVENANCE,
    )


def write_parts(folder: Path, rows: int, part: int, views: int = 1) -> list[Path]:
    files = []
    for span in part_ranges(rows, part):
        files.append(folder / part_name(span.start, span.stop))
        table(span.start, span.stop, views).write(files[-1])
    return files


def test_a_table_comes_back_as_written(tmp_path: Path) -> None:
    written = table(0, 50, views=2)
    written.write(tmp_path / "orders.parquet")
    read = OrderTable.read(tmp_path / "orders.parquet")
    assert read.provenance == PROVENANCE
    for name in ("sample_id", "view", "caption", "label", "order", "score", "mean_step_distance"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
        assert getattr(read, name).dtype == getattr(written, name).dtype


@pytest.mark.parametrize("most", [1, 7, 49, 50, 80])
def test_some_rows_are_evenly_spread_over_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    written = table(0, 50)
    written.write(tmp_path / "orders.parquet")
    monkeypatch.setattr("oarpipe.data.order_table._ROW_GROUP", 16)  # of what is read at once
    some = OrderTable.read(tmp_path / "orders.parquet", most=most)
    kept = [i * 50 // most for i in range(most)] if most < 50 else range(50)
    assert some.sample_id.tolist() == written.sample_id[kept].tolist()
    np.testing.assert_array_equal(some.order, written.order[kept])


def test_orders_alone_are_read_and_checked_without_scores(tmp_path: Path) -> None:
    written = table(0, 50, views=2)
    written.write(tmp_path / "orders.parquet")
    read = Orders.read(tmp_path / "orders.parquet")
    for name in ("sample_id", "view", "label", "order"):
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    (tmp_path / "orders.parquet").write_bytes((tmp_path / "orders.parquet").read_bytes()[:-20])
    with pytest.raises(IncompleteData, match="truncated or damaged"):
        Orders.read(tmp_path / "orders.parquet")


def test_the_schema_is_the_published_one(tmp_path: Path) -> None:
    table(0, 20_000).write(tmp_path / "orders.parquet")
    schema = pq.read_schema(tmp_path / "orders.parquet")
    assert schema.field("order").type == pa.list_(pa.uint16(), POSITIONS)
    assert schema.field("score").type == pa.list_(pa.float32(), POSITIONS)
    assert str(schema.field("sample_id").type) == "int64"
    assert str(schema.field("view").type) == "uint8"
    assert str(schema.field("caption").type) == "int16"
    assert str(schema.field("label").type) == "int32"
    assert str(schema.field("mean_step_distance").type) == "float"
    assert b'"grid": "3x3"' in schema.metadata[b"oarpipe"]
    assert pq.ParquetFile(tmp_path / "orders.parquet").metadata.row_group(0).num_rows == 16_384


def test_pandas_reads_it(tmp_path: Path) -> None:
    written = table(0, 12)
    written.write(tmp_path / "orders.parquet")
    frame = pd.read_parquet(tmp_path / "orders.parquet")
    assert frame["sample_id"].dtype == np.int64
    assert frame["order"][0].dtype == np.uint16
    np.testing.assert_array_equal(np.stack(frame["order"].to_list()), written.order)


def test_polars_reads_it(tmp_path: Path) -> None:
    written = table(0, 12)
    written.write(tmp_path / "orders.parquet")
    frame = pl.read_parquet(tmp_path / "orders.parquet")
    assert frame.schema["order"] == pl.Array(pl.UInt16, POSITIONS)
    assert frame.schema["score"] == pl.Array(pl.Float32, POSITIONS)
    np.testing.assert_array_equal(frame["order"].to_numpy(), written.order)


def test_duckdb_reads_it(tmp_path: Path) -> None:
    written = table(0, 12)
    written.write(tmp_path / "orders.parquet")
    file = str(tmp_path / "orders.parquet")
    first = duckdb.execute(
        'select "order"[1], label from read_parquet($1) order by sample_id', [file]
    ).fetchall()
    assert [place for place, _ in first] == written.order[:, 0].tolist()
    assert [label for _, label in first] == written.label.tolist()
    kinds = dict(
        duckdb.execute("describe select * from read_parquet($1)", [file])
        .df()[["column_name", "column_type"]]
        .values
    )
    assert (kinds["order"], kinds["score"]) == ("USMALLINT[]", "FLOAT[]")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_part_is_named(tmp_path: Path, share: float) -> None:
    (file,) = write_parts(tmp_path, rows=10, part=10)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(IncompleteData, match=r"orders-000000000-000000010\.parquet: truncated or damaged"):
        OrderTable.read(file)


def test_a_flipped_byte_of_the_data_is_named(tmp_path: Path) -> None:
    (file,) = write_parts(tmp_path, rows=200, part=200)
    content = file.read_bytes()
    metadata = pq.ParquetFile(file).metadata.row_group(0)
    for i in range(metadata.num_columns):
        column = metadata.column(i)
        first_page = column.dictionary_page_offset or column.data_page_offset
        place = first_page + column.total_compressed_size - 3  # in the body of the last page
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises(IncompleteData, match="damaged"):
            OrderTable.read(file)


def test_no_flipped_bit_anywhere_in_a_part_changes_what_is_read(tmp_path: Path) -> None:
    """Parquet's own checksums leave out headers and footer, where some flips moved a column's values."""
    (file,) = write_parts(tmp_path, rows=5, part=5)
    content, written, told = file.read_bytes(), table(0, 5), 0
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x01]) + content[place + 1 :])
        try:
            read = OrderTable.read(file)
        except IncompleteData:
            told += 1
            continue
        assert read.provenance == written.provenance
        for name in ("sample_id", "view", "caption", "label", "order", "score", "mean_step_distance"):
            np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert told > len(content) / 2


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"order": [1, 2]}), tmp_path / "orders.parquet")
    with pytest.raises(IncompleteData, match=r"orders\.parquet: truncated or damaged"):
        OrderTable.read(tmp_path / "orders.parquet")
    with pytest.raises(IncompleteData, match="no such order table"):
        OrderTable.read(tmp_path / "absent.parquet")


def broken(kind: str) -> OrderTable:
    good = table(0, 10)
    order, sample_id = good.order.copy(), good.sample_id.copy()
    if kind == "twice":
        order[7, 0] = order[7, 1]
    elif kind == "beyond":
        order[7, 0] = POSITIONS
    else:
        sample_id[7] = sample_id[6]
    return replace(good, order=order, sample_id=sample_id)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("twice", "row 7 .*no permutation of 0..8"),
        ("beyond", "row 7 .*no permutation"),
        ("unsorted", "row 7 .*twice"),
    ],
)
def test_a_wrong_row_is_named_when_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(OrderTable, "problem", lambda self: None)  # a writer that does not check
        broken(kind).write(tmp_path / "orders.parquet")
    with pytest.raises(IncompleteData, match=rf"orders\.parquet: {words}"):
        OrderTable.read(tmp_path / "orders.parquet")
    with pytest.raises(AssertionError):
        broken(kind).write(tmp_path / "never.parquet")


@pytest.mark.parametrize("views", [1, 2])
def test_merged_parts_are_the_whole_table_however_they_were_cut(tmp_path: Path, views: int) -> None:
    parts = write_parts(tmp_path, rows=20, part=6, views=views)
    merge_parts(parts, np.arange(20 // views) * 10, views, tmp_path / "orders.parquet")
    merged, whole = OrderTable.read(tmp_path / "orders.parquet"), table(0, 20, views)
    np.testing.assert_array_equal(merged.order, whole.order)
    np.testing.assert_array_equal(merged.sample_id, whole.sample_id)
    np.testing.assert_array_equal(merged.view, whole.view)


@pytest.mark.parametrize("rows", [20, 16_384, 2 * 16_384 + 100])
def test_parts_merge_to_the_bytes_of_the_table_written_at_once(tmp_path: Path, rows: int) -> None:
    whole = replace(table(0, 1), **_columns(rows))
    whole.write(tmp_path / "whole.parquet")
    parts = []
    for span in part_ranges(rows, 5000):
        parts.append(tmp_path / part_name(span.start, span.stop))
        replace(whole, **_columns(rows, span)).write(parts[-1])
    merge_parts(parts, whole.sample_id, 1, tmp_path / "orders.parquet")
    assert (tmp_path / "orders.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def _columns(rows: int, span: range | None = None) -> dict[str, np.ndarray]:
    """Rows of a large table, made without a loop."""
    random = np.random.default_rng(0)
    order = random.random((rows, POSITIONS)).argsort(axis=1).astype(np.uint16)
    score = random.random((rows, POSITIONS), dtype=np.float32)
    kept = slice(None) if span is None else slice(span.start, span.stop)
    columns = {
        "sample_id": np.arange(rows),
        "view": np.zeros(rows, np.uint8),
        "caption": np.full(rows, NO_CAPTION, np.int16),
        "label": (np.arange(rows) % 3).astype(np.int32),
        "order": order,
        "score": score,
        "mean_step_distance": np.linspace(1, 2, rows, dtype=np.float32),
    }
    return {name: values[kept] for name, values in columns.items()}


def test_a_sample_that_is_missing_twice_there_or_uncalled_for_is_named(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, rows=12, part=6)
    ids, merged = np.arange(12) * 10, tmp_path / "orders.parquet"
    with pytest.raises(IncompleteData, match="sample 60, view 0 is there not at all"):
        merge_parts(parts[:1], ids, 1, merged)
    with pytest.raises(IncompleteData, match="sample 0, view 0 is there twice"):
        merge_parts([*parts, parts[0]], ids, 1, merged)
    with pytest.raises(IncompleteData, match="sample 110, view 0 is there but is not among the tokens"):
        merge_parts(parts, ids[:-1], 1, merged)
    with pytest.raises(IncompleteData, match="sample 0, view 1 is there not at all"):
        merge_parts(parts, ids, 2, merged)
    with pytest.raises(IncompleteData, match="other rows than their names say"):
        merge_parts(parts[::-1], ids, 1, merged)
    assert not list(tmp_path.glob("orders.parquet*"))


def test_parts_of_another_extraction_are_refused(tmp_path: Path) -> None:
    parts = write_parts(tmp_path, rows=12, part=6)
    replace(table(6, 12), provenance={**PROVENANCE, "model": "other"}).write(parts[1])
    with pytest.raises(FingerprintMismatch, match=r"orders-000000006-000000012\.parquet: from another"):
        merge_parts(parts, np.arange(12) * 10, 1, tmp_path / "orders.parquet")


def test_parts_are_named_by_the_rows_they_hold() -> None:
    assert [part_name(r.start, r.stop) for r in part_ranges(2500, 1024)] == [
        "orders-000000000-000001024.parquet",
        "orders-000001024-000002048.parquet",
        "orders-000002048-000002500.parquet",
    ]
    assert part_ranges(0, 10) == []
