"""`batch: auto`: the first job settles it by its memory, all others keep it, and the receipt tells it."""

from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.receipts import Stage, checked, read_receipt
from oarpipe.base.shards import Shard
from oarpipe.config.tables import validate_entry
from oarpipe.data.order_table import OrderTable
from oarpipe.decoding import batches
from oarpipe.stages.extract import extract
from oarpipe.stages.generate import generate
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.merge_samples import merge_samples
from tests.stages.ingredients import SQUARE, orders_recipe, real_model, real_tokenizer, samples_recipe, tokens

AUTO = orders_recipe(batch="auto", part=4)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("line")
    store = tokens(root / "tokens", grid=SQUARE)
    return {"tokens": store, "model": real_model(root / "any", store)}


def memory(patch: pytest.MonkeyPatch, free: int) -> None:
    patch.setattr(batches, "free_memory", lambda device: free)


def settled_by(out: Path) -> list[str]:
    return [file.read_text().strip() for file in out.glob("state/*/settled/batch.json")]


def test_shards_and_resumptions_keep_what_the_first_settled(
    line: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(monkeypatch, 10**9)
    extract(AUTO, **line, out=tmp_path / "any", shard=Shard(1, 2))
    assert settled_by(tmp_path / "any") == ["4"]  # a part holds no more
    memory(monkeypatch, 0)
    extract(AUTO, **line, out=tmp_path / "any", shard=Shard(2, 2))
    assert settled_by(tmp_path / "any") == ["4"]
    merge_orders(AUTO, **line, out=tmp_path / "any")
    assert checked(tmp_path / "any", "orders").settled == {"batch": 4}


def test_of_two_that_settle_at_once_the_first_to_write_wins(tmp_path: Path) -> None:
    first, second = Stage(AUTO, tmp_path), Stage(AUTO, tmp_path)

    def overtaken() -> int:
        assert second.settle("batch", lambda: 8) == 8
        return 4

    assert first.settle("batch", overtaken) == 8
    assert settled_by(tmp_path) == ["8"]
    assert not list(tmp_path.rglob("*.partial"))


def test_what_the_machine_settled_is_no_part_of_what_was_asked(
    line: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = set()
    for free, batch in ((10**9, 4), (0, 1)):
        memory(monkeypatch, free)
        out = tmp_path / str(batch)
        extract(AUTO, **line, out=out)
        merge_orders(AUTO, **line, out=out)
        receipt = read_receipt(out)
        assert receipt.settled == {"batch": batch}
        fingerprints.add(receipt.fingerprint)
        assert len(OrderTable.read(out / "orders.parquet").order) == 8
    assert len(fingerprints) == 1


def test_a_written_batch_settles_nothing(line: dict[str, Any], tmp_path: Path) -> None:
    recipe = orders_recipe(batch=3)
    extract(recipe, **line, out=tmp_path / "fixed")
    merge_orders(recipe, **line, out=tmp_path / "fixed")
    assert checked(tmp_path / "fixed", "orders").settled == {}


def test_a_generation_settles_its_batch_too(line: dict[str, Any], tmp_path: Path) -> None:
    recipe = samples_recipe(count=10, batch="auto", shard=5, guidance={"scale": 2.0})
    given = {"model": line["model"], "tokenizer": real_tokenizer(tmp_path / "tokenizer")}
    for k in (2, 1):
        generate(recipe, **given, out=tmp_path / "samples", shard=Shard(k, 2))
    merge_samples(recipe, **given, out=tmp_path / "samples")
    assert checked(tmp_path / "samples", "samples").settled == {"batch": 4}


@pytest.mark.parametrize("batch", [0, "as many as fit"])
def test_a_batch_is_a_whole_number_or_auto(batch: object) -> None:
    _, problems = validate_entry("orders", "greedy", {"model": "m", "tokens": "t", "batch": batch})
    assert problems
    assert all(problem.startswith("orders.greedy.batch: input should be") for problem in problems)
