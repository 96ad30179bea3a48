"""Receipts prove what a stage made, and tell when it no longer holds."""

import json
from pathlib import Path

import pytest

from oarpipe.base.files import read_json, write_json, write_text
from oarpipe.base.receipts import DONE, RECEIPT, Receipt, Stage, checked, read_receipt, shard_receipt
from oarpipe.base.shards import Shard
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import FingerprintMismatch, IncompleteData


def recipe(resolution: int = 24, name: str = "digits") -> Recipe[DigitsConfig]:
    return Recipe("datasets", name, 0, DigitsConfig(kind="digits", resolution=resolution))


def finish(out: Path, resolution: int = 24, text: str = "images") -> Receipt:
    stage = Stage(recipe(resolution), out)
    write_text(out / "data.txt", text)
    return stage.finish("data.txt")


def test_a_finished_stage_is_done_and_its_receipt_comes_back(tmp_path: Path) -> None:
    first = finish(tmp_path)
    text = (tmp_path / RECEIPT).read_text()
    (tmp_path / RECEIPT).unlink()  # as Snakemake does before it runs a job
    assert Stage(recipe(), tmp_path).is_done()
    assert (tmp_path / RECEIPT).read_text() == text
    assert read_receipt(tmp_path, "datasets").digest == first.digest


def test_a_name_changes_no_fingerprint_but_an_option_does(tmp_path: Path) -> None:
    finish(tmp_path)
    assert Stage(recipe(name="other"), tmp_path).is_done()
    assert not Stage(recipe(resolution=32), tmp_path).is_done()


def test_other_inputs_are_other_work(tmp_path: Path) -> None:
    a, b = finish(tmp_path / "a", text="a"), finish(tmp_path / "b", text="b")
    stages = [Stage(recipe(), tmp_path / "c", inputs={"dataset": given}) for given in (a, b)]
    assert stages[0].fingerprint != stages[1].fingerprint
    assert stages[0].state != stages[1].state


@pytest.mark.parametrize(("content", "words"), [("imagez", "damaged"), ("image", "5 bytes, expected 6")])
def test_a_damaged_file_is_named_and_made_anew(tmp_path: Path, content: str, words: str) -> None:
    finish(tmp_path)
    (tmp_path / "data.txt").write_text(content)
    with pytest.raises(IncompleteData, match=rf"data\.txt.*{words}"):
        checked(tmp_path, "datasets")
    assert not Stage(recipe(), tmp_path).is_done()


def test_work_that_begins_withdraws_the_receipt_of_other_work(tmp_path: Path) -> None:
    finish(tmp_path)
    assert not Stage(recipe(), tmp_path, also={"something": "else"}).is_done()
    with pytest.raises(IncompleteData, match="never finished"):
        checked(tmp_path, "datasets")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    finish(tmp_path)
    (tmp_path / "data.txt").unlink()
    with pytest.raises(IncompleteData, match=r"data\.txt is missing"):
        checked(tmp_path, "datasets")


def test_an_unfinished_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match="never finished"):
        checked(tmp_path, "datasets")


def test_a_receipt_of_another_table_or_version_is_refused(tmp_path: Path) -> None:
    finish(tmp_path)
    with pytest.raises(FingerprintMismatch, match="expected one of 'tokens'"):
        checked(tmp_path, "tokens")
    content = json.loads((tmp_path / RECEIPT).read_text())
    write_json(tmp_path / RECEIPT, {**content, "format": 0})
    with pytest.raises(FingerprintMismatch, match="format 0"):
        checked(tmp_path, "datasets")
    write_json(tmp_path / RECEIPT, {**content, "clock": 12})
    with pytest.raises(IncompleteData, match="not a receipt"):
        checked(tmp_path, "datasets")
    (tmp_path / RECEIPT).write_text("{")
    with pytest.raises(IncompleteData, match="broken"):
        checked(tmp_path, "datasets")


def test_equal_work_gives_an_equal_receipt(tmp_path: Path) -> None:
    finish(tmp_path / "a")
    finish(tmp_path / "b")
    assert (tmp_path / "a" / RECEIPT).read_bytes() == (tmp_path / "b" / RECEIPT).read_bytes()
    assert (tmp_path / "a" / RECEIPT).read_bytes() == (tmp_path / "a" / DONE).read_bytes()


def test_finishing_clears_the_state_and_adds_up_the_shards_time(tmp_path: Path) -> None:
    stage = Stage(recipe(), tmp_path)
    stage.state.mkdir(parents=True)
    for index in (1, 2):
        stage.finish_shard(Shard(index, 2))
    assert shard_receipt(tmp_path, Shard(2, 2)).is_file()
    for run in stage.state.glob("*.run.json"):
        write_json(run, {"seconds": 100.0})
    write_text(tmp_path / "data.txt", "images")
    stage.finish("data.txt")
    assert not (tmp_path / "state").exists()
    assert read_json(tmp_path / "run.json")["seconds"] == pytest.approx(200, abs=5)


def test_a_folder_is_receipted_file_by_file(tmp_path: Path) -> None:
    stage = Stage(recipe(), tmp_path)
    write_text(tmp_path / "store" / "b" / "1", "one")
    write_text(tmp_path / "store" / "a", "zero")
    receipt = stage.finish("store")
    assert list(receipt.files) == ["store/a", "store/b/1"]
    write_text(tmp_path / "store" / "b" / "1", "two")
    assert "store/b/1" in str(receipt.damage())


def test_what_killed_ones_half_wrote_goes_but_not_while_shards_are_written(tmp_path: Path) -> None:
    halves = [tmp_path / "data.txt.99.partial", tmp_path / "state" / "0" / ".tmpAb12Cd"]
    for half in halves:
        write_text(half, "half")
    mark = tmp_path / ".writer.1-of-2.json"
    mark.touch()
    assert not Stage(recipe(), tmp_path).is_done()
    assert all(half.exists() for half in halves)
    mark.unlink()
    stage = Stage(recipe(), tmp_path)
    assert not stage.is_done()
    assert not any(half.exists() for half in halves)
    write_text(tmp_path / "data.txt", "images")
    stage.finish("data.txt")
    assert sorted(file.name for file in tmp_path.iterdir()) == [DONE, "data.txt", RECEIPT, "run.json"]


def test_who_was_killed_while_putting_away_is_tidied_up_after(tmp_path: Path) -> None:
    finish(tmp_path)
    write_text(Stage(recipe(), tmp_path).state / "part", "left")
    (tmp_path / RECEIPT).unlink()
    assert Stage(recipe(), tmp_path).is_done()
    assert sorted(file.name for file in tmp_path.iterdir()) == [DONE, "data.txt", RECEIPT, "run.json"]


def test_going_back_to_finished_work_keeps_what_other_work_has_begun(tmp_path: Path) -> None:
    finish(tmp_path)
    other = Stage(recipe(resolution=48), tmp_path).state / "part"
    write_text(other, "begun")
    write_text(Stage(recipe(), tmp_path).state / "part", "left")
    assert Stage(recipe(), tmp_path).is_done()
    assert [file.name for file in (tmp_path / "state").rglob("part")] == ["part"]
    assert other.exists()


def test_results_of_another_stage_further_down_are_left_alone(tmp_path: Path) -> None:
    finish(tmp_path / "features")
    half = tmp_path / "features" / "other.npz.99.partial"
    write_text(half, "half")
    finish(tmp_path)
    assert half.exists()
