"""The stage `train_order_head`, and the walks that are predicted by what it makes."""

import signal
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.files import read_json, sha256
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import checked
from oarpipe.base.shards import Shard
from oarpipe.cli import main
from oarpipe.config.order_heads import OrderHeadConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.order_table import OrderTable
from oarpipe.errors import BadInput, FingerprintMismatch, GateFailed
from oarpipe.stages.extract import extract
from oarpipe.stages.generate import generate
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.merge_samples import merge_samples
from oarpipe.stages.train_order_head import train_order_head
from tests import children
from tests.stages.ingredients import (
    SQUARE,
    orders_recipe,
    real_model,
    real_tokenizer,
    samples_recipe,
    tokens,
    words,
)

PREDICTED = {"select": "predicted", "head": "h"}


def head_recipe(*, steps: int = 15, **options: Any) -> Recipe[OrderHeadConfig]:
    """A small head; options besides the head's own go to its `train`."""
    outer = {key: options.pop(key) for key in ("monitor", "patience", "held_out") if key in options}
    train = {"steps": steps, "batch": 8, "lr": 0.02, "log_every": 1, **options}
    entry = {"model": "m", "tokens": "t", "orders": "o", "width": 16, "train": train, **outer}
    return Recipe("order_heads", "head", 0, OrderHeadConfig.model_validate(entry))


class Line:
    """A token store, a model of it, its greedy orders, and a head that learned them."""

    def __init__(self, root: Path) -> None:
        self.tokens = tokens(root / "tokens", rows=30, grid=SQUARE)
        self.model = real_model(root / "any", self.tokens)
        self.orders = root / "greedy"
        extract(orders_recipe(), model=self.model, tokens=self.tokens, out=self.orders)
        merge_orders(orders_recipe(), model=self.model, tokens=self.tokens, out=self.orders)
        self.head = root / "head"
        self.train(head_recipe(validate_every=5), self.head)

    def train(self, recipe: Recipe[OrderHeadConfig], out: Path) -> None:
        train_order_head(recipe, model=self.model, tokens=self.tokens, orders=self.orders, out=out)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("line"))


def test_a_head_learns_to_foresee_and_tells_how_well(line: Line) -> None:
    checked(line.head, "order_heads")
    told = read_metrics(line.head / "metrics.jsonl")
    losses = [row["loss"] for row in told if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    assert [row["step"] for row in told if "validation_hit_1" in row] == [4, 9, 14]
    agreement = read_json(line.head / "agreement.json")
    assert agreement["images"] == 2
    assert 0 <= agreement["hit_1"] <= agreement["hit_2"] <= agreement["hit_4"] <= agreement["hit_8"] == 1
    assert -1 <= agreement["tau"] <= 1


def test_a_training_killed_and_run_again_ends_with_the_same_weights(line: Line, tmp_path: Path) -> None:
    out, recipe = tmp_path / "head", head_recipe(validate_every=5, checkpoint_minutes=1e-6)
    command = words(
        "train_order_head", recipe, model=line.model, tokens=line.tokens, orders=line.orders, out=out
    )
    child = children.start(command)
    while not list(out.glob("state/*/step-*.safetensors")) and child.exitcode is None:
        child.join(0.01)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    assert main(command) == 0
    assert sha256(out / "order_head.safetensors") == sha256(line.head / "order_head.safetensors")


@pytest.mark.parametrize(("monitor", "says"), [({"low": 50.0}, "collapsed"), ({"high": 0.02}, "exploded")])
def test_predictions_that_leave_the_bounds_stop_the_training(
    line: Line, tmp_path: Path, monitor: dict[str, float], says: str
) -> None:
    recipe = head_recipe(monitor=monitor)
    with pytest.raises(GateFailed, match=f"order_heads/head: predictions have {says} at step 0: .*`monitor`"):
        line.train(recipe, tmp_path / "head")
    command = words(
        "train_order_head",
        recipe,
        model=line.model,
        tokens=line.tokens,
        orders=line.orders,
        out=tmp_path / "again",
    )
    assert main(command) == 2


def test_orders_are_extracted_along_predictions(line: Line, tmp_path: Path) -> None:
    recipe = orders_recipe(policy={**PREDICTED, "candidates": 3})
    for k in (1, 2):
        extract(
            recipe,
            model=line.model,
            tokens=line.tokens,
            head=line.head,
            out=tmp_path / "orders",
            shard=Shard(k, 2),
        )
    merge_orders(recipe, model=line.model, tokens=line.tokens, head=line.head, out=tmp_path / "orders")
    found = OrderTable.read(tmp_path / "orders" / "orders.parquet")
    exact = OrderTable.read(line.orders / "orders.parquet")
    assert found.order.shape == exact.order.shape
    assert 0.8 < found.score.sum() / exact.score.sum() < 1.2
    assert read_json(tmp_path / "orders" / "run.json")["counts"] == {
        "predicted_places": 24 * 9,
        "exact_steps": 0,
    }


def test_samples_are_drawn_along_predictions_and_doubts_are_counted(line: Line, tmp_path: Path) -> None:
    pixels = real_tokenizer(tmp_path / "tokenizer")
    doubting = {**PREDICTED, "monitor": {"low": 99.0, "high": 100.0}}
    drawn = {}
    for name, policy in (("predicted", PREDICTED), ("doubting", doubting), ("greedy", {"select": "greedy"})):
        recipe, out = samples_recipe(count=4, policy=policy), tmp_path / name
        given = {"model": line.model, "tokenizer": pixels, "head": None if name == "greedy" else line.head}
        generate(recipe, **given, out=out)
        merge_samples(recipe, **given, out=out)
        drawn[name] = checked(out, "samples").digest
    assert drawn["predicted"] != drawn["greedy"]
    assert drawn["doubting"] == drawn["greedy"]
    assert read_json(tmp_path / "doubting" / "run.json")["counts"] == {
        "predicted_places": 4 * 9,
        "exact_steps": 4 * 8,
    }
    assert "counts" not in read_json(tmp_path / "greedy" / "run.json")


def test_a_head_is_asked_for_refused_and_must_be_of_the_model_that_walks(line: Line, tmp_path: Path) -> None:
    given: dict[str, Any] = {"model": line.model, "tokens": line.tokens, "out": tmp_path / "orders"}
    with pytest.raises(BadInput, match="name the folder of its order head with --head"):
        extract(orders_recipe(policy=PREDICTED), **given)
    with pytest.raises(BadInput, match="predicts no places; leave --head"):
        extract(orders_recipe(), head=line.head, **given)
    other = real_model(tmp_path / "other", line.tokens, scale=0.5)
    with pytest.raises(FingerprintMismatch, match="predicts another model than"):
        extract(orders_recipe(policy=PREDICTED), head=line.head, **{**given, "model": other})
