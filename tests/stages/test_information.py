"""The stage `information`: likelihoods by the training forward, sample by sample."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from oarpipe.base.files import read_json
from oarpipe.base.noise import Stream
from oarpipe.base.receipts import checked
from oarpipe.config.outputs import InformationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.order_table import OrderTable
from oarpipe.data.token_store import TokenSet, TokenStore
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.models import load_model
from oarpipe.orders.holes import HiddenLast, hidden
from oarpipe.orders.sources import Random, Visits
from oarpipe.stages.extract import extract
from oarpipe.stages.information import information
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.training.held_out import classification
from oarpipe.training.objective import visits
from tests.stages.ingredients import orders_recipe, real_model, tokens

ORDERS = {
    "random": {"kind": "random"},
    "column": {"kind": "rule", "name": "column"},
    "greedy": {"kind": "table", "orders": "greedy"},
}


class Line:
    """Two models of one token store, and the orders of its held-out images."""

    def __init__(self, root: Path) -> None:
        self.tokens = tokens(root / "tokens", views=2)
        self.models = [
            real_model(root / name, self.tokens, scale=scale) for name, scale in (("a", 1.0), ("b", 0.5))
        ]
        self.orders, recipe = root / "greedy", orders_recipe(split="test")
        extract(recipe, model=self.models[0], tokens=self.tokens, out=self.orders)
        merge_orders(recipe, model=self.models[0], tokens=self.tokens, out=self.orders)

    def run(self, out: Path, **options: Any) -> dict[str, Any]:
        entry = {"tokens": "tokens", "orders": ORDERS, **options}
        recipe = Recipe("information", "main", 0, InformationConfig.model_validate(entry))
        information(recipe, models=self.models, tokens=self.tokens, orders=[self.orders], out=out)
        found = read_json(out / "information.json")
        assert isinstance(found, dict)
        return found


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    return Line(tmp_path_factory.mktemp("line"))


def by_hand(network: Path, codes: np.ndarray, order: list[int], label: int) -> float:
    """The mean over the steps of -log of the true code's share, nats."""
    model = load_model(network)
    logits = model(torch.tensor(codes)[None].long(), torch.tensor([order]), torch.tensor([label]))[0]
    shares = np.exp(logits.detach().double().numpy())
    shares /= shares.sum(axis=1, keepdims=True)
    return -sum(math.log(shares[step, codes[place]]) for step, place in enumerate(order)) / len(order)


def test_every_likelihood_is_the_one_computed_by_hand(line: Line, tmp_path: Path) -> None:
    found = line.run(tmp_path / "main", batch=1)
    held_out = TokenStore.open(line.tokens / "tokens.zarr").read().select("test")
    table = OrderTable.read(line.orders / "orders.parquet")
    first_views = table.order[table.view == 0].astype(int).tolist()
    assert (found["split"], found["count"], found["positions"]) == ("test", 2, 6)
    assert set(found["models"]) == {"a", "b"}
    for model in line.models:
        told = found["models"][model.name]
        for row in range(2):
            codes, label = held_out.tokens[row, 0], int(held_out.labels[row])
            for name, order in (("column", [0, 3, 1, 4, 2, 5]), ("greedy", first_views[row])):
                expected = by_hand(model, codes, order, label)
                assert told[name]["per_sample"][row] == pytest.approx(expected, abs=1e-5)
        for walked in told.values():
            assert walked["nll"] == pytest.approx(np.mean(walked["per_sample"]), abs=1e-5)


def test_orders_that_were_chosen_by_the_truth_are_named(line: Line, tmp_path: Path) -> None:
    assert line.run(tmp_path / "greedy")["leaking"] == []
    recipe = orders_recipe(split="test", policy={"select": "greedy", "score": "truth"})
    folder = tmp_path / "extraction"
    extract(recipe, model=line.models[0], tokens=line.tokens, out=folder)
    merge_orders(recipe, model=line.models[0], tokens=line.tokens, out=folder)
    orders = {
        "mean": {"kind": "class_mean", "orders": "greedy"},
        "back": {"kind": "reversed", "of": ORDERS["greedy"]},
    }
    entry = InformationConfig.model_validate({"tokens": "tokens", "orders": orders})
    asked = Recipe("information", "main", 0, entry)
    information(asked, models=line.models, tokens=line.tokens, orders=[folder], out=tmp_path / "truth")
    assert read_json(tmp_path / "truth/information.json")["leaking"] == ["back"]


def test_the_random_orders_are_the_same_for_every_model_and_batch(line: Line, tmp_path: Path) -> None:
    whole, single = line.run(tmp_path / "whole"), line.run(tmp_path / "single", batch=1)
    for name in ("a", "b"):
        pair = [told["models"][name]["random"]["per_sample"] for told in (whole, single)]
        assert pair[0] == pytest.approx(pair[1], abs=1e-5)


def test_a_holes_likelihood_is_that_of_its_codes_given_all_others(line: Line, tmp_path: Path) -> None:
    found = line.run(tmp_path / "main", holes={"middle": {"kind": "inpaint", "share": 0.4}})
    held_out = TokenStore.open(line.tokens / "tokens.zarr").read().select("test")
    is_hidden = hidden(held_out.grid, "inpaint", 0.4)
    assert found["hidden"] == {"middle": int(is_hidden.sum())}
    ids = torch.from_numpy(held_out.sample_ids)
    orders = HiddenLast(is_hidden, 0, Stream.VISIT)(Visits(ids, ids * 0, ids * 0, ids)).tolist()
    for row, order in enumerate(orders):
        codes, label = held_out.tokens[row, 0], int(held_out.labels[row])
        seen = len(order) - int(is_hidden.sum())
        both = by_hand(line.models[0], codes, order, label) * len(order)
        first = by_hand(line.models[0], codes, order[:seen], label) * seen
        told = found["models"][line.models[0].name]["middle"]["per_sample"][row]
        assert told == pytest.approx((both - first) / int(is_hidden.sum()), abs=1e-5)


def test_of_several_random_orders_the_mean_is_kept_and_their_spread(line: Line, tmp_path: Path) -> None:
    single, drawn = line.run(tmp_path / "single"), line.run(tmp_path / "drawn", draws=3)
    assert (single["draws"], drawn["draws"]) == (1, 3)
    for name in ("a", "b"):
        one, three = single["models"][name], drawn["models"][name]
        assert three["column"] == one["column"]
        assert three["greedy"] == one["greedy"]
        assert len(three["random"]["per_sample"]) == 2
        assert three["random"]["per_sample"] != one["random"]["per_sample"]
        assert three["random"]["spread"] > 0
        assert "spread" not in one["random"]


def test_each_images_class_is_found_or_not_by_every_model(line: Line, tmp_path: Path) -> None:
    found = line.run(tmp_path / "main", classification={"orders": [1, 2], "count": 1}, batch=1)
    held_out = TokenStore.open(line.tokens / "tokens.zarr").read().select("test")
    orders = Random(6, 0, Stream.VISIT)
    for network in line.models:
        nats = np.zeros(2)
        for draw, count in enumerate(("1", "2")):
            (order,) = orders(visits(held_out, slice(0, 1), draw)).tolist()
            nats += [by_hand(network, held_out.tokens[0, 0], order, label) for label in (0, 1)]
            is_hit = int(nats.argmin() == held_out.labels[0])
            assert found["classification"][network.name][count] == {
                "accuracy": is_hit,
                "per_sample": [is_hit],
            }


def test_of_one_class_nothing_is_classified_and_the_log_says_so(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = TokenStore.read

    def of_one_class(self: TokenStore, rows: np.ndarray | None = None) -> TokenSet:
        return replace(whole(self, rows), classes=["digit"])

    monkeypatch.setattr(TokenStore, "read", of_one_class)
    found = line.run(tmp_path / "main", classification={})
    assert "classification" not in found
    assert "information/main: the images are all of one class, so none is classified" in caplog.text


def test_a_killed_measurement_goes_on_with_the_next_model(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"draws": 2, "classification": {"orders": [1, 2]}}
    whole = line.run(tmp_path / "whole", **options)
    measured: list[Any] = []

    def counting(model: Any, *given: Any, **named: Any) -> dict[str, Any]:
        measured.append(model)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return classification(model, *given, **named)

    monkeypatch.setattr("oarpipe.training.held_out.classification", counting)
    with pytest.raises(KeyboardInterrupt):
        line.run(tmp_path / "killed", **options)
    assert line.run(tmp_path / "killed", **options) == whole
    assert len(measured) == 3  # one was whole, one was broken off and made again
    digests = [checked(tmp_path / name, "information").digest for name in ("whole", "killed")]
    assert digests[0] == digests[1]


def test_an_order_and_a_hole_of_one_name_are_refused() -> None:
    hole = {"random": {"kind": "inpaint", "share": 0.5}}
    with pytest.raises(ValidationError, match="'random' names an order and a hole"):
        InformationConfig.model_validate({"tokens": "t", "orders": ORDERS, "holes": hole})


def test_running_again_measures_nothing(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = line.run(tmp_path / "main")
    monkeypatch.setattr("oarpipe.training.objective.sample_nll", None)
    assert line.run(tmp_path / "main") == found
    assert list(checked(tmp_path / "main", "information").files) == ["information.json"]


def test_a_model_of_another_token_store_is_refused(line: Line, tmp_path: Path) -> None:
    foreign = real_model(tmp_path / "foreign", tokens(tmp_path / "tokens", first=7))
    recipe = Recipe(
        "information", "main", 0, InformationConfig.model_validate({"tokens": "t", "orders": ORDERS})
    )
    with pytest.raises(FingerprintMismatch, match=rf"{foreign}: models\.foreign was made from tokens"):
        information(recipe, models=[foreign], tokens=line.tokens, out=tmp_path / "main")


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    store = tokens(tmp_path / "tokens", rows=4, test_every=1)
    network = real_model(tmp_path / "any", store)
    entry = {"tokens": "t", "split": "train", "orders": {"random": {"kind": "random"}}}
    recipe = Recipe("information", "main", 0, InformationConfig.model_validate(entry))
    with pytest.raises(BadInput, match=r"information\.main\.split: there are no train images"):
        information(recipe, models=[network], tokens=store, out=tmp_path / "main")
