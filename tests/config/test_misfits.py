"""Entries that are right by themselves and wrong together, where a published model is among them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.config.book import Book, validate
from oarpipe.errors import ConfigError

TINY = Path(__file__).parents[1] / "workflow" / "tiny.yaml"
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
            {"models": {"wrong": {"tokens": "digits", "init": "llamagen", "train": {"steps": 4}}}},
            "models.wrong: an any-order model cannot start from models.llamagen",
        ),
    ],
)
def test_what_llamagen_cannot_do_is_told_before_anything_runs(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_llamagen(**changes)
    assert says in str(caught.value)
