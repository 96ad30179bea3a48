"""The stage `distill`: extracted orders are learnt, and only those that belong to the tokens."""

from pathlib import Path

import pytest

from oarpipe.base.files import sha256
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.stages.distill import distill
from oarpipe.stages.extract import extract
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.train import train
from oarpipe.training import loop
from tests.stages.ingredients import model_recipe, orders_recipe, real_model, tokens

TABLE = {"kind": "table", "orders": "greedy"}
RASTER = {"kind": "rule", "name": "raster"}


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


class Line:
    """A token store, a model of it, and orders extracted with that model."""

    def __init__(self, root: Path, policy: object, *, first: int = 0, **extraction: object) -> None:
        self.tokens = tokens(root / "tokens", views=2, first=first)
        self.init = real_model(root / "any", self.tokens)
        self.orders, recipe = root / "greedy", orders_recipe(policy=policy, **extraction)
        extract(recipe, model=self.init, tokens=self.tokens, out=self.orders)
        merge_orders(recipe, model=self.init, tokens=self.tokens, out=self.orders)


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """An "extraction" that wrote down the raster order for everybody."""
    return Line(tmp_path_factory.mktemp("line"), {"select": "follow", "order": RASTER})


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The same recipes on other codes."""
    return Line(tmp_path_factory.mktemp("other"), {"select": "greedy"}, first=7)


@pytest.mark.parametrize("written", [TABLE, {"kind": "class_mean", "orders": "greedy"}])
def test_distilling_raster_orders_is_training_in_raster(
    raster: Line, tmp_path: Path, written: dict[str, str]
) -> None:
    tuned = model_recipe("tuned", init="any", order={"kind": "anneal", "to": written, "end_epoch": 2})
    distill(tuned, tokens=raster.tokens, init=raster.init, orders=[raster.orders], out=tmp_path / "tuned")
    plain = model_recipe("plain", init="any", order={"kind": "anneal", "to": RASTER, "end_epoch": 2})
    train(plain, tokens=raster.tokens, init=raster.init, out=tmp_path / "plain")
    hashes = [sha256(tmp_path / name / "model.safetensors") for name in ("tuned", "plain")]
    assert hashes[0] == hashes[1]


def test_images_without_an_order_are_trained_in_the_orders_of_the_other_source(tmp_path: Path) -> None:
    line = Line(tmp_path, {"select": "follow", "order": RASTER}, count=3)
    for name, order in (
        ("some", {**TABLE, "otherwise": RASTER}),
        ("others", {**TABLE, "otherwise": {"kind": "rule", "name": "spiral"}}),
    ):
        recipe = model_recipe(name, init="any", order=order)
        distill(recipe, tokens=line.tokens, init=line.init, orders=[line.orders], out=tmp_path / name)
    plainly = model_recipe("plain", init="any", order=RASTER)
    train(plainly, tokens=line.tokens, init=line.init, out=tmp_path / "plain")
    some, others, plain = (sha256(tmp_path / n / "model.safetensors") for n in ("some", "others", "plain"))
    assert some == plain
    assert others != plain


def test_other_orders_make_another_model(raster: Line, tmp_path: Path) -> None:
    for name, order in (("raster", TABLE), ("random", {"kind": "random"})):
        recipe = model_recipe(name, init="any", order=order)
        distill(recipe, tokens=raster.tokens, init=raster.init, orders=[raster.orders], out=tmp_path / name)
    assert sha256(tmp_path / "raster/model.safetensors") != sha256(tmp_path / "random/model.safetensors")


@pytest.mark.parametrize("foreign", ["orders", "init"])
def test_an_ingredient_of_other_tokens_is_refused_and_named(
    raster: Line, other: Line, tmp_path: Path, foreign: str
) -> None:
    given = {"init": raster.init, "orders": raster.orders, foreign: getattr(other, foreign)}
    with pytest.raises(FingerprintMismatch, match=rf"{given[foreign]}: .* was made from tokens \w{{8}}, but"):
        distill(
            model_recipe(init="any", order=TABLE),
            tokens=raster.tokens,
            init=given["init"],
            orders=[given["orders"]],
            out=tmp_path / "tuned",
        )
    assert not (tmp_path / "tuned").exists()


def test_orders_that_the_recipe_needs_but_nobody_gave_are_named(raster: Line, tmp_path: Path) -> None:
    recipe = model_recipe(init="any", order={**TABLE, "orders": "near"})
    with pytest.raises(BadInput, match=r"orders\.near: needed but not given \(given: greedy\).*--orders"):
        distill(
            recipe, tokens=raster.tokens, init=raster.init, orders=[raster.orders], out=tmp_path / "tuned"
        )


def test_orders_of_the_held_out_images_are_of_no_use(tmp_path: Path) -> None:
    line = Line(tmp_path, {"select": "greedy"}, split="test")
    recipe = model_recipe(init="any", order=TABLE)
    with pytest.raises(IncompleteData, match=r"orders\.greedy: no order for sample \d+, view \d"):
        distill(recipe, tokens=line.tokens, init=line.init, orders=[line.orders], out=tmp_path / "tuned")
