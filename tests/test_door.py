"""The Python door: what a notebook asks for is what the stages make."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import oarpipe
from oarpipe.base.receipts import checked
from oarpipe.config.orders import FollowConfig, PolicyConfig, RuleConfig
from oarpipe.data.order_table import OrderTable
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.stages.extract import extract
from oarpipe.stages.generate import generate
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.merge_samples import merge_samples
from tests.stages.ingredients import SQUARE, orders_recipe, real_model, real_tokenizer, samples_recipe, tokens


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("line")
    store = tokens(root / "tokens", grid=SQUARE)
    model, tokenizer = real_model(root / "any", store), real_tokenizer(root / "tokenizer")
    return {"tokens": store, "model": model, "tokenizer": tokenizer}


def test_everything_that_the_door_names_is_there() -> None:
    for name in oarpipe.__all__:
        assert callable(getattr(oarpipe, name))
    with pytest.raises(AttributeError, match="has no attribute 'window'"):
        _ = oarpipe.window


@pytest.mark.parametrize(
    ("policy", "entry"),
    [
        (None, {"select": "greedy"}),
        (
            FollowConfig(select="follow", order=RuleConfig(kind="rule", name="spiral")),
            {"select": "follow", "order": {"kind": "rule", "name": "spiral"}},
        ),
    ],
)
def test_generating_here_and_by_the_stage_is_the_same(
    line: dict[str, Any], tmp_path: Path, policy: PolicyConfig | None, entry: dict[str, object]
) -> None:
    model, tokenizer = oarpipe.load_model(line["model"]), oarpipe.load_tokenizer(line["tokenizer"])
    labels = torch.arange(6) % 2
    here = oarpipe.generate(model, tokenizer, labels, policy=policy, guidance=2.0, temperature=0.8, seed=0)
    recipe = samples_recipe(count=6, policy=entry, guidance={"scale": 2.0}, temperature=0.8)
    ingredients = {name: line[name] for name in ("model", "tokenizer")}
    generate(recipe, **ingredients, out=tmp_path / "samples")
    merge_samples(recipe, **ingredients, out=tmp_path / "samples")
    store = SampleStore.open(tmp_path / "samples" / "samples.zarr")
    np.testing.assert_array_equal(here.images.permute(0, 2, 3, 1), store.read("images"))
    np.testing.assert_array_equal(here.tokens, store.read("tokens"))
    np.testing.assert_array_equal(here.order, store.read("orders"))
    np.testing.assert_allclose(here.score, store.read("scores"), atol=1e-6)


def test_extracting_here_and_by_the_stage_is_the_same(line: dict[str, Any], tmp_path: Path) -> None:
    recipe = orders_recipe(split="all")
    extract(recipe, model=line["model"], tokens=line["tokens"], out=tmp_path / "orders")
    merge_orders(recipe, model=line["model"], tokens=line["tokens"], out=tmp_path / "orders")
    table = OrderTable.read(checked(tmp_path / "orders", "orders").folder / "orders.parquet")
    held = TokenStore.open(line["tokens"] / "tokens.zarr").read()
    codes, labels = torch.from_numpy(held.tokens[:, 0]).long(), torch.from_numpy(held.labels).long()
    walk = oarpipe.extract_orders(oarpipe.load_model(line["model"]), codes, labels)
    np.testing.assert_array_equal(walk.order, table.order)
    assert torch.equal(walk.tokens, codes)


def test_the_same_seed_gives_the_same_images_and_another_others(line: dict[str, Any]) -> None:
    model, tokenizer = oarpipe.load_model(line["model"]), oarpipe.load_tokenizer(line["tokenizer"])
    labels = torch.tensor([0, 1, model.null_label])
    first, again, other = (oarpipe.generate(model, tokenizer, labels, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.tokens, other.tokens)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([0, 5], r"labels: got label 5; expected at least one, each 0\.\.1, or 2 for no class"),
        ([-1], "labels: got label -1"),
        ([], "labels: got no label"),
    ],
)
def test_labels_that_are_no_classes_are_refused(line: dict[str, Any], labels: list[int], says: str) -> None:
    model, tokenizer = oarpipe.load_model(line["model"]), oarpipe.load_tokenizer(line["tokenizer"])
    with pytest.raises(BadInput, match=says):
        oarpipe.generate(model, tokenizer, torch.tensor(labels, dtype=torch.int64))


def test_a_tokenizer_of_other_codes_is_refused(line: dict[str, Any], tmp_path: Path) -> None:
    other = oarpipe.load_tokenizer(real_tokenizer(tmp_path / "other", codebook=32))
    with pytest.raises(FingerprintMismatch, match="the model writes 64 codes, the tokenizer reads 32"):
        oarpipe.generate(oarpipe.load_model(line["model"]), other, torch.tensor([0]))


def test_a_folder_that_holds_no_model_is_named(line: dict[str, Any]) -> None:
    with pytest.raises(IncompleteData, match=r"tokenizer/model\.yaml: not a model's description"):
        oarpipe.load_model(line["tokenizer"])
