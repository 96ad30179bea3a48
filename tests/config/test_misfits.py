"""Entries that are right by themselves and wrong together, where a published model is among them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.config.book import Book, validate
from oarpipe.errors import ConfigError

TINY = Path(__file__).parents[2] / "config" / "tiny.yaml"
RASTER = {"select": "follow", "order": {"kind": "rule", "name": "raster"}}


def with_llamagen(**changes: dict[str, Any]) -> Book:
    """The tiny book with a LlamaGen sampled and measured in raster order, and further entries."""
    raw = yaml.safe_load(TINY.read_text())
    raw["models"]["llamagen"] = {"kind": "llamagen", "tokens": "digits", "weights": "c2i_B_256.pt"}
    raw["samples"]["baseline"] = {"model": "llamagen", "count": 20, "policy": RASTER}
    raw["information"]["main"]["models"] = ["any", "greedy"]
    raw["information"]["rasters"] = {
        "models": ["any", "llamagen"],
        "tokens": "digits",
        "orders": {"raster": RASTER["order"]},
    }
    for table, entries in changes.items():
        raw[table] = {**raw[table], **entries}
    return validate(raw, "tiny")


def test_a_published_baseline_is_an_entry_like_any_other() -> None:
    book = with_llamagen()
    assert book.ingredients("samples", "baseline")["model"] == [("models", "llamagen")]
    assert book.entry("models", "llamagen").verb == "import_model"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"samples": {"wrong": {"model": "llamagen", "policy": {"select": "greedy"}}}},
            "samples.wrong.policy: models.llamagen is LlamaGen's and only goes in raster order",
        ),
        (
            {"samples": {"wrong": {"model": "llamagen", "policy": {**RASTER, "order": {"kind": "random"}}}}},
            "samples.wrong.policy: models.llamagen is LlamaGen's",
        ),
        (
            {
                "samples": {
                    "wrong": {
                        "model": "llamagen",
                        "policy": {**RASTER, "per_step": {"kind": "cosine", "steps": 3}},
                    }
                }
            },
            "one place a step: {select: follow, order: {kind: rule, name: raster}}",
        ),
        (
            {"orders": {"wrong": {"model": "llamagen", "tokens": "digits"}}},
            "orders.wrong.policy: models.llamagen is LlamaGen's",
        ),
        (
            {"information": {"wrong": {"tokens": "digits", "orders": {"shuffled": {"kind": "random"}}}}},
            "information.wrong.orders.shuffled: models.llamagen is LlamaGen's",
        ),
        (
            {
                "information": {
                    "wrong": {"tokens": "digits", "orders": {"raster": RASTER["order"]}, "classification": {}}
                }
            },
            "information.wrong.classification: models.llamagen is LlamaGen's",
        ),
        (
            {"models": {"wrong": {"tokens": "digits", "init": "llamagen", "train": {"steps": 4}}}},
            "models.wrong: an any-order model cannot start from models.llamagen",
        ),
    ],
)
def test_what_llamagen_cannot_do_is_told_before_anything_runs(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_llamagen(**changes)
    assert says in str(caught.value)


def with_published(samples: str, metric: str = "accuracy", **evaluation: Any) -> Book:
    """The tiny book with a report that compares with a published number."""
    raw = yaml.safe_load(TINY.read_text())
    published = {
        "samples": samples,
        "metric": metric,
        "value": 2.27,
        "tolerance": 0.05,
        "source": "its README",
    }
    raw["reports"]["tiny"]["published"] = published
    raw["evaluations"]["main"].update(evaluation)
    return validate(raw, "tiny")


def test_a_published_number_is_one_of_a_set_or_of_a_searchs_best() -> None:
    for samples in ("any_random", "best/any_random"):
        assert with_published(samples).entry("reports", "tiny").published.samples == samples  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"samples": "any_rondom"}, "published.samples: evaluations.main measures no 'any_rondom'"),
        ({"samples": "best/mean_mean"}, "measures no 'best/mean_mean'"),
        ({"samples": "worst/any_random"}, "measures no 'worst/any_random'"),
        ({"samples": "best/any_random", "searches": []}, "measures no 'best/any_random'"),
        (
            {"samples": "any_random", "metric": "fid"},
            "published.metric: fid is measured with Inception alone",
        ),
    ],
)
def test_a_published_number_that_is_not_measured_is_told_before_anything_runs(
    asked: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_published(**asked)
    assert says in str(caught.value)


@pytest.mark.parametrize("test_every", [None, 10])
def test_published_codes_have_a_test_split_only_if_some_are_held_out(test_every: int | None) -> None:
    raw = yaml.safe_load(TINY.read_text())
    raw["tokens"]["digits"] = {
        "kind": "randar", "path": "codes", "tokenizer": "small", "test_every": test_every
    }  # fmt: skip
    if test_every is not None:
        assert validate(raw, "tiny").ingredients("tokens", "digits") == {
            "tokenizer": [("tokenizers", "small")]
        }
        return
    with pytest.raises(ConfigError) as told:
        validate(raw, "tiny")
    for place in ("orders.greedy_test", "information.main"):
        assert f"{place}.split: tokens.digits are published codes, of which none are held out" in str(
            told.value
        )


def with_orders(entry: dict[str, Any], **changes: dict[str, Any]) -> Book:
    """The tiny book with one more extraction, `other`."""
    raw = yaml.safe_load(TINY.read_text())
    raw["orders"]["other"] = {"like": "greedy", **entry}
    for table, entries in changes.items():
        raw[table] = {**raw[table], **entries}
    return validate(raw, "tiny")


def test_a_model_may_train_on_orders_of_some_images_where_the_others_get_orders_too() -> None:
    some = {"kind": "table", "orders": "other", "otherwise": {"kind": "class_mean", "orders": "greedy"}}
    book = with_orders({"count": 7}, models={"few": {"like": "greedy", "order": some}})
    assert book.ingredients("models", "few")["orders"] == [("orders", "other"), ("orders", "greedy")]


def test_an_extraction_may_follow_the_class_means_of_another() -> None:
    follow = {"select": "follow", "order": {"kind": "class_mean", "orders": "greedy"}}
    book = with_orders({"policy": follow})
    assert book.ingredients("orders", "other")["orders"] == [("orders", "greedy")]


@pytest.mark.parametrize(
    ("entry", "changes", "says"),
    [
        (
            {"policy": {"select": "follow", "order": {"kind": "table", "orders": "elsewhere"}}},
            {
                "tokens": {"finer": {"dataset": "digits", "tokenizer": "small"}},
                "models": {"any_finer": {"tokens": "finer", "train": {"steps": 1}}},
                "orders": {"elsewhere": {"model": "any_finer", "tokens": "finer"}},
            },
            "orders.other: extracts from tokens.digits, but follows orders of tokens.finer",
        ),
        (
            {"count": 7},
            {"models": {"few": {"like": "greedy", "order": {"kind": "table", "orders": "other"}}}},
            "models.few: trains on all images, but orders.other has 7 orders",
        ),
        (
            {"count": 7},
            {
                "models": {
                    "few": {
                        "like": "greedy",
                        "order": {"kind": "reversed", "of": {"kind": "table", "orders": "other"}},
                    }
                }
            },
            "models.few: trains on all images, but orders.other has 7 orders",
        ),
        (
            {"count": 7, "split": "test"},
            {
                "information": {
                    "few": {
                        "tokens": "digits",
                        "count": 9,
                        "orders": {"other": {"kind": "table", "orders": "other"}},
                    }
                }
            },
            "information.few: walks 9 images of the test split, but orders.other has the orders of "
            "7 images of the test split",
        ),
    ],
)
def test_orders_of_other_images_do_not_serve(
    entry: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        with_orders(entry, **changes)
    assert says in str(error.value)
