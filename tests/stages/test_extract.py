"""The stage `extract`: the oracle's orders, the same bytes however the work was cut or interrupted."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oarpipe.base.receipts import Receipt, checked
from oarpipe.base.shards import Shard
from oarpipe.config.orders import OrdersConfig, PerStepConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.order_table import OrderTable
from oarpipe.data.token_store import TokenStore
from oarpipe.decoding.policies import Greedy
from oarpipe.decoding.reference import ReferenceDecoder
from oarpipe.decoding.reveals import Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.scores import max_prob
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.models import load_model
from oarpipe.orders.algebra import mirror
from oarpipe.stages.extract import extract
from oarpipe.stages.merge_orders import merge_orders
from tests.stages.ingredients import GRID, orders_recipe, real_model, tokens

RECIPE = orders_recipe(batch=3, part=5)  # 16 rows in 4 parts, the last of one row


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("line")
    store = tokens(root / "tokens", views=2)
    return {"tokens": store, "model": real_model(root / "any", store)}


def run(
    line: dict[str, Any], out: Path, *shards: str, recipe: Recipe[OrdersConfig] = RECIPE
) -> tuple[OrderTable, Receipt]:
    for shard in shards or ("1-of-1",):
        extract(recipe, **line, out=out, shard=Shard.parse(shard))
    merge_orders(recipe, **line, out=out)
    return OrderTable.read(out / "orders.parquet"), checked(out, "orders")


def test_every_row_is_the_oracles_greedy_walk(line: dict[str, Any], tmp_path: Path) -> None:
    found, _ = run(line, tmp_path / "greedy")
    network = load_model(line["model"])
    store = TokenStore.open(line["tokens"] / "tokens.zarr").read().select("train")
    assert found.sample_id.tolist() == np.repeat(store.sample_ids, 2).tolist()
    assert found.view.tolist() == [0, 1] * 8
    labels = torch.from_numpy(np.repeat(store.labels, 2)).long()
    codes = torch.from_numpy(store.tokens.reshape(-1, 6)).long()
    walk = rollout(
        ReferenceDecoder(network, labels), Greedy(max_prob, PerStepConfig(), 6), Teacher(codes), GRID, 16,
        torch.device("cpu"),
    )  # fmt: skip
    np.testing.assert_array_equal(found.label, labels)
    np.testing.assert_array_equal(found.order, walk.order)
    np.testing.assert_allclose(found.score, walk.score, atol=1e-5)
    rows, columns = found.order.astype(int) // 3, found.order.astype(int) % 3
    steps = np.hypot(np.diff(rows), np.diff(columns))
    np.testing.assert_allclose(found.mean_step_distance, steps.mean(axis=1), rtol=1e-6)


def test_sharding_does_not_change_a_byte(line: dict[str, Any], tmp_path: Path) -> None:
    _, whole = run(line, tmp_path / "whole")
    _, three = run(line, tmp_path / "three", "3-of-3", "1-of-3", "2-of-3")
    _, nine = run(line, tmp_path / "nine", *(f"{k}-of-9" for k in range(1, 10)))  # more shards than parts
    assert whole == three == nine


def test_a_shard_reads_and_verifies_its_own_part_of_the_tokens(line: dict[str, Any], tmp_path: Path) -> None:
    damaged = {**line, "tokens": Path(shutil.copytree(line["tokens"], tmp_path / "tokens"))}
    file = damaged["tokens"] / "tokens.zarr" / "tokens" / "c" / "2" / "0" / "0"  # of the last two samples
    content = file.read_bytes()
    file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    extract(RECIPE, **damaged, out=tmp_path / "greedy", shard=Shard(1, 3))
    with pytest.raises(IncompleteData, match=r"c/2/0/0 is damaged"):
        extract(RECIPE, **damaged, out=tmp_path / "greedy", shard=Shard(3, 3))


def test_a_killed_extraction_keeps_its_parts_and_may_be_sharded_anew(
    line: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = run(line, tmp_path / "whole")
    write, written = OrderTable.write, 0

    def interrupted(self: OrderTable, file: Path) -> None:
        nonlocal written
        if written == 2:
            raise KeyboardInterrupt
        written += 1
        write(self, file)

    out = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr(OrderTable, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            extract(RECIPE, **line, out=out)
    assert not (out / "shards").exists()
    kept = {file: file.stat().st_mtime_ns for file in out.rglob("*.parquet")}
    assert len(kept) == 2
    for k in (1, 2, 3):
        extract(RECIPE, **line, out=out, shard=Shard(k, 3))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(list(out.rglob("*.parquet"))) == 4
    merge_orders(RECIPE, **line, out=out)
    assert checked(out, "orders") == whole


def test_an_extraction_that_was_merged_is_not_done_again(line: dict[str, Any], tmp_path: Path) -> None:
    run(line, tmp_path / "greedy")
    extract(RECIPE, **line, out=tmp_path / "greedy", shard=Shard(2, 3))
    assert not list(tmp_path.rglob("orders-*.parquet"))
    assert (tmp_path / "greedy" / "shards" / "2-of-3.json").is_file()


@pytest.mark.parametrize(("split", "samples"), [("test", [0, 15]), ("all", list(range(0, 30, 3)))])
def test_only_the_split_is_extracted(
    line: dict[str, Any], tmp_path: Path, split: str, samples: list[int]
) -> None:
    found, _ = run(line, tmp_path / split, recipe=orders_recipe(split=split))
    assert found.sample_id.tolist() == np.repeat(samples, 2).tolist()


@pytest.mark.parametrize(
    "policy",
    [
        {"select": "follow", "order": {"kind": "random"}},
        {"select": "near", "strength": 0.3},
        {"select": "lazy", "least": 1, "share": 0.2},
        {"select": "greedy", "per_step": {"kind": "cosine", "steps": 4}},
        {"select": "greedy", "score": "truth", "per_step": {"kind": "cosine", "steps": 3}},
    ],
)
def test_every_policy_may_be_sharded(line: dict[str, Any], tmp_path: Path, policy: dict[str, Any]) -> None:
    recipe = orders_recipe(policy=policy, batch=3, part=5)
    table, whole = run(line, tmp_path / "whole", recipe=recipe)
    _, parts = run(line, tmp_path / "parts", "1-of-2", "2-of-2", recipe=recipe)
    assert whole == parts
    assert len({tuple(order) for order in table.order.tolist()}) > 1


def test_the_file_says_what_it_was_made_from(line: dict[str, Any], tmp_path: Path) -> None:
    table, receipt = run(line, tmp_path / "greedy")
    assert table.provenance["model"] == checked(line["model"], "models").digest
    assert table.provenance["tokens"] == checked(line["tokens"], "tokens").digest
    assert table.provenance["fingerprint"] == receipt.fingerprint
    assert table.provenance["grid"] == "2x3"


def test_a_model_of_other_tokens_is_refused(line: dict[str, Any], tmp_path: Path) -> None:
    other = tokens(tmp_path / "tokens", first=7)
    with pytest.raises(FingerprintMismatch, match=rf"{line['model']}: models\.any was made from tokens"):
        extract(RECIPE, model=line["model"], tokens=other, out=tmp_path / "greedy")


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    store = tokens(tmp_path / "tokens", rows=4, test_every=1)
    network = real_model(tmp_path / "any", store)
    with pytest.raises(BadInput, match=r"orders\.greedy\.split: there are no train images"):
        extract(RECIPE, model=network, tokens=store, out=tmp_path / "greedy")
    assert not (tmp_path / "greedy" / "shards").exists()


def test_a_count_of_images_is_evenly_spread(line: dict[str, Any], tmp_path: Path) -> None:
    found, _ = run(line, tmp_path / "few", "1-of-2", "2-of-2", recipe=orders_recipe(count=4))
    samples = TokenStore.open(line["tokens"] / "tokens.zarr").read().select("train").sample_ids
    assert found.sample_id.tolist() == np.repeat(samples[[0, 2, 4, 6]], 2).tolist()


def test_a_mirrored_view_has_the_mirror_of_the_originals_order_and_scores_of_its_own(
    line: dict[str, Any], tmp_path: Path
) -> None:
    own, _ = run(line, tmp_path / "own")
    recipe = orders_recipe(mirror=True, batch=3, part=5)  # parts begin with mirrored views
    found, whole = run(line, tmp_path / "whole", recipe=recipe)
    _, parts = run(line, tmp_path / "parts", "1-of-2", "2-of-2", recipe=recipe)
    assert whole == parts
    np.testing.assert_array_equal(found.order[::2], own.order[::2])
    np.testing.assert_array_equal(found.score[::2], own.score[::2])
    orders = torch.from_numpy(found.order.astype(np.int64))
    assert torch.equal(orders[1::2], mirror(orders[::2], GRID))
    network = load_model(line["model"])
    store = TokenStore.open(line["tokens"] / "tokens.zarr").read().select("train")
    logits = network(
        torch.from_numpy(store.tokens[:, 1]).long(), orders[1::2], torch.from_numpy(store.labels).long()
    )
    np.testing.assert_allclose(found.score[1::2], logits.softmax(-1).amax(-1).detach(), atol=1e-5)


def test_tokens_without_a_mirrored_view_are_told(tmp_path: Path) -> None:
    store = tokens(tmp_path / "tokens")
    network = real_model(tmp_path / "any", store)
    with pytest.raises(BadInput, match=r"no view that is another's mirror image, only original"):
        extract(orders_recipe(mirror=True), model=network, tokens=store, out=tmp_path / "greedy")


def test_each_image_gets_its_classs_mean_order_and_its_scores(line: dict[str, Any], tmp_path: Path) -> None:
    greedy, _ = run(line, tmp_path / "greedy")
    recipe = orders_recipe(
        policy={"select": "follow", "order": {"kind": "class_mean", "orders": "greedy"}}, batch=3, part=5
    )
    written = {**line, "orders": [tmp_path / "greedy"]}
    found, whole = run(written, tmp_path / "mean", recipe=recipe)
    _, parts = run(written, tmp_path / "parts", "1-of-2", "2-of-2", recipe=recipe)
    assert whole == parts
    assert whole.inputs["orders.orders.greedy.seed-0"] == checked(tmp_path / "greedy", "orders").digest
    for label in (0, 1):
        steps = np.argsort(greedy.order[greedy.label == label], axis=1).mean(axis=0)
        expected = np.argsort(steps, kind="stable")
        assert (found.order[found.label == label] == expected).all()
    assert (found.score > 0).all()


def test_a_class_mean_without_its_extraction_is_told(line: dict[str, Any], tmp_path: Path) -> None:
    policy = {"select": "follow", "order": {"kind": "class_mean", "orders": "greedy"}}
    with pytest.raises(BadInput, match=r"orders\.greedy: needed but not given"):
        extract(orders_recipe(policy=policy), **line, out=tmp_path / "mean")
