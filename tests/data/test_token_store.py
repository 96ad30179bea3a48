"""Token stores keep codes, labels, ids and splits exactly, and refuse codes that cannot be."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from oarpipe.base.grid import Grid
from oarpipe.config.datasets import Split
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData

GRID = Grid(2, 3)


def create(path: Path, *, codebook: int = 64, rows: int = 10) -> TokenStore:
    return TokenStore.create(
        path,
        rows=rows,
        grid=GRID,
        codebook=codebook,
        classes=["zero", "one"],
        views=["original", "flipped"],
        shard=4,
    )


def fill(store: TokenStore, seed: int = 0) -> np.ndarray:
    tokens = np.random.default_rng(seed).integers(0, store.codebook, (store.rows, 2, 6))
    for i in store.missing():
        rows = np.array(store.range_of(i))
        store.write_shard(
            i, tokens[rows], rows % 2, rows.astype(np.int64) + 100, (rows % 5 == 0).astype(np.uint8)
        )
    return tokens


@pytest.mark.parametrize(
    ("codebook", "dtype"), [(64, "uint16"), (65535, "uint16"), (65536, "uint32"), (300_000, "uint32")]
)
def test_tokens_come_back_exactly_from_the_smallest_type(tmp_path: Path, codebook: int, dtype: str) -> None:
    store = create(tmp_path / "tokens.zarr", codebook=codebook)
    tokens = fill(store)
    read = TokenStore.open(tmp_path / "tokens.zarr").read()
    assert zarr.open_array(tmp_path / "tokens.zarr" / "tokens", mode="r").dtype == dtype
    np.testing.assert_array_equal(read.tokens, tokens)
    np.testing.assert_array_equal(read.sample_ids, np.arange(10) + 100)
    np.testing.assert_array_equal(read.labels, np.arange(10) % 2)
    assert (read.grid, read.codebook) == (GRID, codebook)
    assert (read.classes, read.views) == (["zero", "one"], ["original", "flipped"])


def test_the_fill_value_is_never_a_code(tmp_path: Path) -> None:
    create(tmp_path / "tokens.zarr")
    array = zarr.open_array(tmp_path / "tokens.zarr" / "tokens", mode="r")
    assert array.fill_value == 65535


def test_a_split_is_its_rows_in_order(tmp_path: Path) -> None:
    store = create(tmp_path / "tokens.zarr")
    tokens = fill(store)
    read = store.read()
    test, train = read.select("test"), read.select("train")
    assert test.sample_ids.tolist() == [100, 105]
    np.testing.assert_array_equal(test.tokens, tokens[[0, 5]])
    assert len(train) == 8
    assert read.select("all") is read


@pytest.mark.parametrize("rows", [[], [0], [3, 4], [1, 2, 5, 9], list(range(10))])
def test_some_rows_are_read_as_they_lie_in_the_whole(tmp_path: Path, rows: list[int]) -> None:
    store = create(tmp_path / "tokens.zarr")
    fill(store)
    some, whole = store.read(np.array(rows, np.int64)), store.read()
    for name in ("tokens", "labels", "sample_ids", "splits"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[rows])
    assert some.tokens.dtype == np.uint16  # as it is stored


def test_rows_need_no_file_but_their_own(tmp_path: Path) -> None:
    store = create(tmp_path / "tokens.zarr")
    fill(store)
    own = store.files_of(np.array([4, 7]))
    for file in (tmp_path / "tokens.zarr").rglob("c/**/*"):
        if file.is_file() and file not in own:
            file.unlink()
    assert store.read(np.array([4, 7])).sample_ids.tolist() == [104, 107]


def test_an_unfinished_store_is_not_read(tmp_path: Path) -> None:
    store = create(tmp_path / "tokens.zarr")
    fill(store)
    damaged = tmp_path / "tokens.zarr" / "tokens" / "c" / "1" / "0" / "0"
    damaged.unlink()
    with pytest.raises(IncompleteData, match=r"tokens\.zarr: shard 1 of 'tokens' is missing"):
        store.read()


@pytest.mark.parametrize(("code", "label", "words"), [(64, 0, "code 64 .* 0..63"), (0, 2, "label 2 .* 0..1")])
def test_a_code_or_label_out_of_range_is_refused(tmp_path: Path, code: int, label: int, words: str) -> None:
    store = create(tmp_path / "tokens.zarr")
    with pytest.raises(BadInput, match=words):
        store.write_shard(
            0,
            np.full((4, 2, 6), code),
            np.full(4, label),
            np.arange(4, dtype=np.int64),
            np.zeros(4, np.uint8),
        )
    assert 0 in store.missing()


def test_another_codebook_is_another_store(tmp_path: Path) -> None:
    create(tmp_path / "tokens.zarr")
    with pytest.raises(FingerprintMismatch, match="delete it"):
        create(tmp_path / "tokens.zarr", codebook=128)


def test_a_store_of_samples_is_no_store_of_tokens(tmp_path: Path) -> None:
    SampleStore.create(tmp_path / "samples.zarr", count=4, resolution=8, grid=GRID, shard=4)
    with pytest.raises(IncompleteData, match="not of tokens"):
        TokenStore.open(tmp_path / "samples.zarr")
    create(tmp_path / "tokens.zarr")
    with pytest.raises(IncompleteData, match="not of samples"):
        SampleStore.open(tmp_path / "tokens.zarr")


@pytest.mark.parametrize("split", ["train", "test", "all"])
@pytest.mark.parametrize("count", [1, 3, 7, 20])
def test_a_count_takes_images_evenly_spread_over_the_split(tmp_path: Path, split: Split, count: int) -> None:
    store = create(tmp_path / "tokens.zarr", rows=20)
    fill(store)
    every = store.sample_ids(split).tolist()
    chosen = store.sample_ids(split, count).tolist()
    assert chosen == [every[i * len(every) // count] for i in range(count)] if count < len(every) else every
    assert store.read().select(split, count).sample_ids.tolist() == chosen
