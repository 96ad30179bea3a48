"""The stage `merge_samples`: the store that `generate` filled, published once it is whole."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.receipts import Stage, checked
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import IncompleteData
from oarpipe.stages.merge_samples import merge_samples
from tests.children import CONTEXT
from tests.stages import ingredients


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    return {
        "model": ingredients.model(tmp_path / "model"),
        "tokenizer": ingredients.tokenizer(tmp_path / "tokenizer"),
        "orders": [],
    }


RECIPE = ingredients.samples_recipe(count=10, shard=4)


def generate(inputs: dict[str, Any], out: Path) -> SampleStore:
    """What the shards of `generate` leave behind, without a model."""
    receipts = {
        "model": checked(inputs["model"], "models"),
        "tokenizer": checked(inputs["tokenizer"], "tokenizers"),
    }
    state = Stage(RECIPE, out, inputs={**receipts, "orders": []}).state
    store = SampleStore.create(state / "samples.zarr", count=10, resolution=8, grid=ingredients.GRID, shard=4)
    for i in store.missing():
        rows = np.array(store.range_of(i))
        store.write_shard(
            i,
            images=np.broadcast_to(rows[:, None, None, None], (len(rows), 8, 8, 3)).astype(np.uint8),
            tokens=np.zeros((len(rows), 6), np.int64),
            orders=np.tile(np.arange(6), (len(rows), 1)),
            scores=np.ones((len(rows), 6), np.float32),
            labels=rows % 2,
            seeds=rows.astype(np.int64),
        )
    return store


def test_a_whole_store_is_published(inputs: dict[str, Any], tmp_path: Path) -> None:
    generate(inputs, tmp_path / "out")
    merge_samples(RECIPE, **inputs, out=tmp_path / "out")
    checked(tmp_path / "out", "samples")
    store = SampleStore.open(tmp_path / "out" / "samples.zarr")
    np.testing.assert_array_equal(store.read("images")[:, 0, 0, 0], np.arange(10))
    assert not (tmp_path / "out" / "state").exists()


def test_numpy_reads_the_export_which_goes_when_the_samples_change(
    inputs: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generate(inputs, out)
    merge_samples(RECIPE, **inputs, out=out)
    assert not (out / "samples.npz").exists()
    merge_samples(RECIPE, **inputs, out=out, npz=True)
    with np.load(out / "samples.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["arr_0"]
        assert arrays["arr_0"].dtype == np.uint8
        np.testing.assert_array_equal(arrays["arr_0"], SampleStore.open(out / "samples.zarr").read("images"))
    with pytest.raises(IncompleteData):
        merge_samples(ingredients.samples_recipe(count=11, shard=4), **inputs, out=out)
    assert not (out / "samples.npz").exists()


def test_missing_shards_are_named_by_their_samples(inputs: dict[str, Any], tmp_path: Path) -> None:
    store = generate(inputs, tmp_path / "out")
    for i in (0, 2):
        next((tmp_path / "out").glob(f"state/*/samples.zarr/labels/c/{i}")).unlink()
    assert store.missing() == [0, 2]
    with pytest.raises(IncompleteData, match=r"2 of 3 shards are missing \(samples 0\.\.3, 8\.\.9\)"):
        merge_samples(RECIPE, **inputs, out=tmp_path / "out")
    assert not (tmp_path / "out" / "samples.zarr").exists()


def test_merging_before_generating_says_so(inputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match="no such store; run the stage that makes it"):
        merge_samples(RECIPE, **inputs, out=tmp_path / "out")


def test_a_merge_killed_before_its_receipt_is_finished_by_the_next(
    inputs: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(inputs, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("oarpipe.base.receipts.Stage.finish", _kill)
        with pytest.raises(KeyboardInterrupt):
            merge_samples(RECIPE, **inputs, out=tmp_path / "out")
    merge_samples(RECIPE, **inputs, out=tmp_path / "out")
    checked(tmp_path / "out", "samples")


@pytest.mark.parametrize("npz", [False, True])
def test_half_an_export_goes_with_the_next_merge(inputs: dict[str, Any], tmp_path: Path, npz: bool) -> None:
    out = tmp_path / "out"
    generate(inputs, out)
    child = CONTEXT.Process(target=_killed_while_exporting, args=(inputs, out))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    assert list(out.glob("*.partial"))
    merge_samples(RECIPE, **inputs, out=out, npz=npz)
    assert not list(out.glob("*.partial"))
    assert not list(out.glob(".writer*"))
    assert (out / "samples.npz").exists() == npz
    checked(out, "samples")


def _killed_while_exporting(inputs: dict[str, Any], out: Path) -> None:
    def half(store: SampleStore, partial: Path) -> None:
        partial.write_bytes(b"PK")
        os.kill(os.getpid(), signal.SIGKILL)

    SampleStore._write_npz = half  # type: ignore[method-assign]
    merge_samples(RECIPE, **inputs, out=out, npz=True)


def _kill(*arguments: object) -> None:
    raise KeyboardInterrupt
