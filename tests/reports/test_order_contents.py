"""Background, recognisability and V-information of orders, beside the same by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oarpipe.base.files import read_json
from oarpipe.base.receipts import checked
from oarpipe.config.outputs import InformationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.images import open_images
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import BadInput
from oarpipe.metrics.classifier import load_classifier, predict
from oarpipe.reports.order_contents import (
    Ingredients,
    background_facts,
    information_facts,
    recognition_facts,
)
from oarpipe.reports.order_sets import OrderSet, read_sets
from oarpipe.stages.information import information
from oarpipe.tokenizers import load_tokenizer
from tests.metrics.walks import random_orders
from tests.reports.walked import SQUARE, order_table
from tests.stages import ingredients, measuring

ROWS = 10


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Ingredients:
    """A token store of 3x3 codes, an untrained tokenizer and classifier, digits of 12 pixels."""
    root = tmp_path_factory.mktemp("results")
    return Ingredients(
        tokens=checked(ingredients.tokens(root / "tokens", ROWS, grid=ingredients.SQUARE), "tokens"),
        dataset=measuring.make_dataset(root),
        tokenizer=checked(ingredients.real_tokenizer(root / "tokenizer"), "tokenizers"),
        features=measuring.make_network(root),
    )


@pytest.fixture(scope="module")
def walked(given: Ingredients) -> OrderSet:
    """Random orders of the store's images, under ids as the store has them: multiples of 3."""
    assert given.tokens is not None
    orders = random_orders(ROWS, 9)
    rows = [(3 * i, i % 2, orders[i].tolist()) for i in range(ROWS)]
    return OrderSet("random", SQUARE, order_table(rows, tokens=given.tokens.digest))


def test_confidence_along_the_walk_is_the_classifiers_on_what_is_filled(
    given: Ingredients, walked: OrderSet
) -> None:
    assert given.tokens is not None
    assert given.tokenizer is not None
    assert given.features is not None
    facts = recognition_facts(walked, given)
    assert facts is not None
    held = TokenStore.open(given.tokens.folder / "tokens.zarr").read()
    codes, counts = np.unique(held.tokens[:, 0], return_counts=True)
    blank = int(codes[counts.argmax()])
    tokenizer, (network, _) = load_tokenizer(given.tokenizer.folder), load_classifier(given.features.folder)
    curve = []
    for filled in range(10):
        shown = np.full((ROWS, 9), blank, np.int64)
        for row in range(ROWS):
            for place in walked.table.order[row, :filled].tolist():
                shown[row, place] = held.tokens[row, 0, place]
        sure = predict(network, tokenizer.decode(torch.from_numpy(shown), SQUARE)).softmax(1)
        curve.append(float(np.mean([float(sure[row, row % 2]) for row in range(ROWS)])))
    np.testing.assert_allclose(facts["shares"], np.arange(10) / 9)
    np.testing.assert_allclose(facts["confidence"], curve, atol=1e-5)
    area = sum((curve[i] + curve[i + 1]) / 2 / 9 for i in range(9))
    assert facts["value"] == pytest.approx(area, abs=1e-5)
    # Whatever the order, nothing and everything look the same.
    assert facts["random_confidence"][0] == pytest.approx(facts["confidence"][0], abs=1e-6)
    assert facts["random_confidence"][-1] == pytest.approx(facts["confidence"][-1], abs=1e-6)


def test_without_a_tokenizer_or_codes_nothing_is_said_of_recognition(
    given: Ingredients, walked: OrderSet
) -> None:
    assert recognition_facts(walked, Ingredients()) is None
    assert recognition_facts(walked, Ingredients(tokenizer=given.tokenizer, features=given.features)) is None


def test_generated_samples_bring_their_own_codes(given: Ingredients, tmp_path: Path) -> None:
    (one,) = read_sets([measuring.make_samples(tmp_path, "noise", count=10).folder])
    two_by_two = ingredients.real_tokenizer(tmp_path / "tokenizer")
    facts = recognition_facts(
        replace(one, grid=SQUARE, store=None), Ingredients(features=given.features, tokens=None)
    )
    assert facts is None
    with pytest.raises(BadInput, match="trained on 12x12 images, got 8x8"):  # two cells of four pixels
        recognition_facts(
            one, Ingredients(tokenizer=checked(two_by_two, "tokenizers"), features=given.features)
        )


def test_a_classifier_of_fewer_classes_is_refused(given: Ingredients, walked: OrderSet) -> None:
    table = replace(walked.table, label=np.full(ROWS, 12, np.int32))
    with pytest.raises(BadInput, match="knows 10 classes, but random has label 12"):
        recognition_facts(replace(walked, table=table), given)


def test_background_is_decided_on_the_images_of_the_orders(given: Ingredients) -> None:
    assert given.dataset is not None
    images = open_images(given.dataset).load(np.arange(40))
    is_black = images.max(axis=3) <= 16  # as the borders of digits are
    plain = is_black.reshape(40, 3, 4, 3, 4).all(axis=(2, 4)).reshape(40, 9)
    chosen = np.flatnonzero(plain.any(axis=1))[:3]
    rows = [
        (int(i), 0, [*np.flatnonzero(plain[i]).tolist(), *np.flatnonzero(~plain[i]).tolist()]) for i in chosen
    ]
    facts = background_facts(OrderSet("black first", SQUARE, order_table(rows)), given)
    assert facts is not None
    assert facts["by_step"][0] == 1
    assert facts["random"] == pytest.approx(plain[chosen].mean())
    assert facts["value"] == facts["by_step"][1]  # of the first quarter: two of nine places


def test_orders_of_many_views_ask_for_the_store_that_tells_them(given: Ingredients) -> None:
    rows = [(0, 0, list(range(9)))] * 3
    many = OrderSet("ten", SQUARE, order_table(rows, view=[0, 1, 2]))
    with pytest.raises(BadInput, match="name their token store"):
        background_facts(many, Ingredients(dataset=given.dataset))


def test_v_information_is_of_the_model_that_suits_each_order_best(given: Ingredients, tmp_path: Path) -> None:
    assert given.tokens is not None
    tokens = given.tokens.folder
    models = [
        ingredients.real_model(tmp_path / name, tokens, scale=scale)
        for name, scale in (("a", 1.0), ("b", 0.3))
    ]
    orders = {"raster": {"kind": "rule", "name": "raster"}, "column": {"kind": "rule", "name": "column"}}
    entry = InformationConfig.model_validate({"tokens": "tokens", "split": "train", "orders": orders})
    recipe = Recipe("information", "main", 0, entry)
    information(recipe, models=models, tokens=tokens, orders=[], out=tmp_path / "information")
    measured = checked(tmp_path / "information", "information")
    (facts,) = information_facts(Ingredients(tokens=given.tokens, information=measured))
    walked = read_json(measured.folder / "information.json")["models"]
    best = {order: min(("a", "b"), key=lambda name: walked[name][order]["nll"]) for order in orders}
    assert (facts["order"], facts["model"], facts["raster_model"]) == (
        "column",
        best["column"],
        best["raster"],
    )
    raster, column = (np.array(walked[best[order]][order]["per_sample"]) * 9 for order in orders)
    labels = TokenStore.open(tokens / "tokens.zarr").read().select("train").labels
    assert facts["all"]["gain"] == pytest.approx((raster - column).mean())
    assert [row["label"] for row in facts["classes"]] == [0, 1]
    assert facts["classes"][1]["raster"] == pytest.approx(raster[labels == 1].mean())
    assert facts["classes"][1]["gain"] == pytest.approx((raster - column)[labels == 1].mean())
    with pytest.raises(BadInput, match="name the token store with --tokens"):
        information_facts(Ingredients(information=measured))


def test_a_large_set_is_thinned_by_its_sample_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oarpipe.reports.order_sets.MOST_ROWS", 4)
    table = order_table([(i, 0, list(range(9))) for i in range(10)])
    table.write(tmp_path / "many.parquet")
    (one,) = read_sets([tmp_path / "many.parquet"])
    assert one.name.endswith("/many")
    assert one.table.sample_id.tolist() == [0, 3, 6, 9]
