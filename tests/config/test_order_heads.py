"""Order heads in a book: what they may learn, and whose walks they may predict."""

from typing import Any

import pytest

from oarpipe.config.book import Book, validate
from oarpipe.errors import ConfigError
from tests.reports.tree import small_book

HEAD = {"model": "any", "tokens": "t", "orders": "greedy", "train": {"steps": 4}}
RANDOM = {"random": {"kind": "random"}}
PREDICTED = {"select": "predicted", "head": "h"}


def with_head(head: dict[str, Any] | None = None, **changes: dict[str, Any]) -> Book:
    """A small book with a head `h`, and further entries."""
    raw: dict[str, Any] = {
        table: {name: entry.model_dump() for name, entry in entries.items()}
        for table, entries in small_book().tables.items()
    }
    raw["order_heads"] = {"h": {**HEAD, **(head or {})}}
    raw["orders"]["test"] = {**raw["orders"]["greedy"], "split": "test"}
    for table, entries in changes.items():
        raw[table] |= entries
    return validate({"name": "small", "seeds": [0], **raw})


def test_a_predicted_arm_needs_its_head_and_the_head_its_orders() -> None:
    book = with_head(samples={"p": {"model": "any", "count": 20, "policy": PREDICTED}})
    assert book.ingredients("samples", "p")["head"] == [("order_heads", "h")]
    assert book.ingredients("order_heads", "h") == {
        "model": [("models", "any")],
        "tokens": [("tokens", "t")],
        "orders": [("orders", "greedy")],
    }
    assert ("order_heads", "h") in book.ingredients("reports", "r")["order_heads"]


@pytest.mark.parametrize(
    ("head", "changes", "says"),
    [
        (
            {},
            {"samples": {"p": {"model": "greedy", "count": 20, "policy": PREDICTED}}},
            "samples.p.policy.head: order_heads.h predicts models.any, not models.greedy",
        ),
        (
            {},
            {"orders": {"p": {"model": "greedy", "tokens": "t", "policy": PREDICTED}}},
            "orders.p.policy.head: order_heads.h predicts models.any",
        ),
        ({"orders": "test"}, {}, "learns, but orders.test has the test split's orders"),
        (
            {"tokens": "others"},
            {"tokens": {"others": {"dataset": "d", "tokenizer": "v"}}},
            "learns on tokens.others, but models.any reads tokens.t",
        ),
        (
            {"model": "published"},
            {"models": {"published": {"kind": "llamagen", "tokens": "t", "weights": "c2i_B_256.pt"}},
             "information": {"i": {"models": ["any"], "tokens": "t", "orders": RANDOM}}},
            "models.published is LlamaGen's, which goes in raster order alone",
        ),
        ({"monitor": {"low": 2.0, "high": 1.0}}, {}, "low 2 must be below high 1"),
        ({"train": {"steps": 4, "ema": 0.9}}, {}, "train.ema is for whole models"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_told(
    head: dict[str, Any], changes: dict[str, dict[str, Any]], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        with_head(head, **changes)
