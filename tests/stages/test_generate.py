"""The stage `generate`: the same images however the work is cut, with the classes that were asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oarpipe.base.receipts import Receipt, checked
from oarpipe.base.shards import Shard
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig
from oarpipe.data.sample_store import SampleStore
from oarpipe.decoding.generation import Generator
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.models import load_model
from oarpipe.stages.extract import extract
from oarpipe.stages.generate import generate
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.merge_samples import merge_samples
from oarpipe.tokenizers import load_tokenizer
from tests.stages.ingredients import SQUARE, orders_recipe, real_model, real_tokenizer, samples_recipe, tokens

ARRAYS = ("images", "tokens", "orders", "scores", "labels", "seeds")
RANDOM = {"select": "follow", "order": {"kind": "random"}}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("line")
    store = tokens(root / "tokens", grid=SQUARE)
    return {"model": real_model(root / "any", store), "tokenizer": real_tokenizer(root / "tokenizer")}


def recipe(**options: Any) -> Recipe[SamplesConfig]:
    """Ten samples in stores of five, walked three at a time: every block and shard has its remainder."""
    return samples_recipe(**{"count": 10, "batch": 3, "shard": 5, **options})


def run(line: dict[str, Any], out: Path, asked: Recipe[SamplesConfig], *shards: str) -> Receipt:
    for shard in shards or ("1-of-1",):
        generate(asked, **line, out=out, shard=Shard.parse(shard))
    merge_samples(asked, **line, out=out)
    return checked(out, "samples")


def arrays(out: Path) -> dict[str, np.ndarray]:
    store = SampleStore.open(out / "samples.zarr")
    return {name: store.read(name) for name in ARRAYS}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"policy": RANDOM, "temperature": 0.7, "top_k": 9, "guidance": {"scale": 2.0}},
        {"policy": {"select": "near"}, "draw": "gumbel", "top_p": 0.9},
    ],
)
def test_three_shards_make_the_files_of_one(
    line: dict[str, Any], tmp_path: Path, options: dict[str, Any]
) -> None:
    asked = recipe(**options, shard=4)
    whole = run(line, tmp_path / "whole", asked)
    assert run(line, tmp_path / "three", asked, "2-of-3", "3-of-3", "1-of-3") == whole
    assert len(np.unique(arrays(tmp_path / "whole")["tokens"], axis=0)) > 5


def test_a_killed_generation_keeps_its_shards_and_ends_the_same(
    line: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = recipe(shard=4), tmp_path / "killed"
    draw, drawn = Generator.draw, 0

    def interrupted(self: Generator, samples: range) -> Any:
        nonlocal drawn
        drawn += 1
        if drawn == 4:  # in the middle of the second shard
            raise KeyboardInterrupt
        return draw(self, samples)

    with monkeypatch.context() as patch:
        patch.setattr(Generator, "draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate(asked, **line, out=out)
    first = next(out.rglob("images/c/0/**/0"))
    before = first.stat().st_mtime_ns
    generate(asked, **line, out=out, shard=Shard(1, 2))
    assert first.stat().st_mtime_ns == before
    generate(asked, **line, out=out, shard=Shard(2, 2))
    merge_samples(asked, **line, out=out)
    assert checked(out, "samples") == run(line, tmp_path / "whole", asked)


def test_the_first_ten_of_twenty_are_the_ten(line: dict[str, Any], tmp_path: Path) -> None:
    run(line, tmp_path / "ten", recipe(batch=5))
    run(line, tmp_path / "twenty", recipe(batch=5, count=20, shard=20))
    ten, twenty = arrays(tmp_path / "ten"), arrays(tmp_path / "twenty")
    for name in ARRAYS:
        np.testing.assert_array_equal(ten[name], twenty[name][:10])


def test_classes_are_balanced_unless_some_are_asked_for(line: dict[str, Any], tmp_path: Path) -> None:
    run(line, tmp_path / "all", recipe())
    assert np.bincount(arrays(tmp_path / "all")["labels"]).tolist() == [5, 5]
    run(line, tmp_path / "one", recipe(classes=[1]))
    assert arrays(tmp_path / "one")["labels"].tolist() == [1] * 10


def test_the_images_are_those_of_the_codes_and_every_order_is_one(
    line: dict[str, Any], tmp_path: Path
) -> None:
    run(line, tmp_path / "all", recipe())
    found = arrays(tmp_path / "all")
    pictures = load_tokenizer(line["tokenizer"]).decode(torch.from_numpy(found["tokens"]).long(), SQUARE)
    assert found["images"].shape == (10, 12, 12, 3)
    np.testing.assert_array_equal(found["images"], pictures.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(np.sort(found["orders"], axis=1), np.tile(np.arange(9), (10, 1)))
    np.testing.assert_array_equal(found["seeds"], np.arange(10))
    assert ((found["scores"] > 0) & (found["scores"] <= 1)).all()


def test_a_score_is_the_models_confidence_where_it_went(line: dict[str, Any], tmp_path: Path) -> None:
    """By the training forward over the codes that were drawn, in the order they were drawn in."""
    run(line, tmp_path / "all", recipe())
    found = arrays(tmp_path / "all")
    codes, order, labels = (torch.from_numpy(found[name]).long() for name in ("tokens", "orders", "labels"))
    confidence = load_model(line["model"])(codes, order, labels).softmax(-1).max(-1).values
    np.testing.assert_allclose(found["scores"], confidence.detach(), atol=1e-5)


def test_the_class_mean_of_extracted_orders_is_followed(line: dict[str, Any], tmp_path: Path) -> None:
    store = tokens(tmp_path / "tokens", grid=SQUARE)
    rows = orders_recipe(policy={"select": "follow", "order": {"kind": "rule", "name": "column"}})
    extract(rows, model=line["model"], tokens=store, out=tmp_path / "greedy")
    merge_orders(rows, model=line["model"], tokens=store, out=tmp_path / "greedy")
    asked = recipe(policy={"select": "follow", "order": {"kind": "class_mean", "orders": "greedy"}})
    generate(asked, **line, orders=[tmp_path / "greedy"], out=tmp_path / "mean")
    merge_samples(asked, **line, orders=[tmp_path / "greedy"], out=tmp_path / "mean")
    assert arrays(tmp_path / "mean")["orders"].tolist() == [[0, 3, 6, 1, 4, 7, 2, 5, 8]] * 10
    with pytest.raises(BadInput, match=r"orders\.greedy: needed but not given \(given: none\)"):
        generate(asked, **line, out=tmp_path / "without")


def test_a_tokenizer_of_other_codes_is_refused(line: dict[str, Any], tmp_path: Path) -> None:
    other = real_tokenizer(tmp_path / "other", codebook=32)
    with pytest.raises(FingerprintMismatch, match="the model writes 64 codes, the tokenizer reads 32"):
        generate(recipe(), model=line["model"], tokenizer=other, out=tmp_path / "out")
    assert not (tmp_path / "out" / "shards").exists()


def test_orders_of_another_token_store_are_refused(line: dict[str, Any], tmp_path: Path) -> None:
    store = tokens(tmp_path / "tokens", grid=SQUARE, first=7)
    network = real_model(tmp_path / "other", store)
    extract(orders_recipe(), model=network, tokens=store, out=tmp_path / "greedy")
    merge_orders(orders_recipe(), model=network, tokens=store, out=tmp_path / "greedy")
    with pytest.raises(FingerprintMismatch, match=rf"{tmp_path / 'greedy'}: orders\.greedy was made from"):
        generate(recipe(), **line, orders=[tmp_path / "greedy"], out=tmp_path / "out")
