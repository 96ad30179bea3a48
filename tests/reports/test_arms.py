"""Arms are read off recipes alone."""

from typing import Any

import pytest

from oarpipe.config.book import Book, validate
from oarpipe.reports.arms import Arm, Tuning, colours, read_arm, read_tuning, told_apart
from tests.reports.tree import small_book


def plain(book: Book) -> dict[str, dict[str, Any]]:
    return {
        t: {n: e.model_dump(mode="json") for n, e in entries.items()} for t, entries in book.tables.items()
    }


def arm(name: str, book: Book) -> Arm:
    tables = plain(book)
    return read_arm(name, tables["samples"][name], tables["models"], tables["orders"])


@pytest.mark.parametrize(
    ("name", "on", "annealing", "sampled"),
    [
        ("any_random", "nothing", "–", "random"),
        ("any_greedy", "nothing", "–", "greedy"),
        ("greedy_annealed_greedy", "greedy", "yes", "greedy"),
        ("greedy_annealed_random", "greedy", "yes", "random"),
        ("raster_annealed_raster", "raster", "yes", "raster"),
    ],
)
def test_an_arm_is_what_its_recipes_say(name: str, on: str, annealing: str, sampled: str) -> None:
    found = arm(name, small_book())
    assert (found.tuning.on, found.tuning.annealing, found.sampled_in) == (on, annealing, sampled)
    assert found.base == "any"


def models(**entries: Any) -> dict[str, dict[str, Any]]:
    base = {"tokens": "t", "train": {"steps": 4}}
    tuned = {name: {**base, "init": "any", **entry} for name, entry in entries.items()}
    book = {
        "name": "b",
        "datasets": {"d": {"kind": "digits"}},
        "tokenizers": {"v": {"kind": "vqgan", "dataset": "d", "train": {"steps": 1}}},
        "tokens": {"t": {"dataset": "d", "tokenizer": "v"}},
        "models": {"any": base, **tuned},
        "orders": {
            "greedy": {"model": "any", "tokens": "t"},
            "few": {"model": "any", "tokens": "t", "count": 1000},
            "near": {"model": "any", "tokens": "t", "policy": {"select": "near", "strength": 0.3}},
            "other": {"model": "any", "tokens": "t", "temperature": 0.5, "guidance": 2.0},
        },
    }
    return plain(validate(book))


def test_every_order_source_has_a_name() -> None:
    tables = models(
        random={"order": {"kind": "random"}},
        fixed={"order": {"kind": "rule", "name": "fixed_random"}},
        means={"order": {"kind": "class_mean", "orders": "greedy"}},
        near={"order": {"kind": "table", "orders": "near"}},
        other={"order": {"kind": "table", "orders": "other"}},
        another={"order": {"kind": "another", "orders": "greedy"}},
        own={"order": {"kind": "permutation"}},
        backwards={"order": {"kind": "reversed", "of": {"kind": "table", "orders": "greedy"}}},
        some={"order": {"kind": "table", "orders": "few", "otherwise": {"kind": "random"}}},
        floor={"order": {"kind": "anneal", "to": {"kind": "table", "orders": "greedy"}, "floor": 0.3}},
    )
    said = {n: read_tuning(n, tables["models"], tables["orders"]) for n in tables["models"]}
    assert {name: (tuning.on, tuning.annealing) for name, tuning in said.items()} == {
        "any": ("nothing", "–"),
        "random": ("random", "–"),
        "fixed": ("permutation", "no"),
        "means": ("class mean", "no"),
        "near": ("near λ=0.3", "no"),
        "other": ("greedy, scored at temperature 0.5, guided by 2", "no"),
        "another": ("another image's greedy", "no"),
        "own": ("one random a sample", "no"),
        "backwards": ("greedy reversed", "no"),
        "some": ("1,000 images' greedy, else random", "no"),
        "floor": ("greedy", "yes, floor 0.3"),
    }


def test_a_second_round_of_tuning_is_called_one() -> None:
    greedy = {"order": {"kind": "table", "orders": "greedy"}}
    tables = models(first=greedy, second={**greedy, "init": "first"})
    assert read_tuning("second", tables["models"], tables["orders"]).on == "greedy, round 2"


def test_a_published_model_is_a_base_that_was_not_tuned() -> None:
    published = {"kind": "randar", "tokens": "t", "weights": {"path": "randar.safetensors"}}
    tuned = {"order": {"kind": "random"}, "train": {"steps": 4}}
    tables = {"models": {"xl": published, "again": {**tuned, "init": "xl"}}, "orders": {}}
    assert read_tuning("xl", tables["models"], tables["orders"]).on == "nothing"
    assert read_tuning("again", tables["models"], tables["orders"]).on == "random"
    policy = {"select": "follow", "order": {"kind": "random"}}
    assert read_arm("a", {"model": "again", "policy": policy}, tables["models"], {}).base == "xl"


def test_steps_are_told_where_they_alone_tell_tunings_apart() -> None:
    tunings = [Tuning("greedy", False, steps=s) for s in (5_000, 15_000)]
    arms = [
        Arm(str(t.steps), "m", "any", t, "greedy") for t in (*tunings, Tuning("greedy", True, steps=15_000))
    ]
    short, long, annealed = told_apart(arms)
    assert short.phrase == "tuned on greedy orders, not annealed, 5,000 steps, sampled greedily"
    assert (long.tuning.annealing, long.short) == (
        "no, 15,000 steps",
        "greedy, not annealed, 15,000 steps → greedy",
    )
    assert annealed.tuning.annealing == "yes"


def test_every_kind_of_tuning_has_its_own_colour() -> None:
    book = small_book()
    found = colours([arm(name, book) for name in book.tables["samples"]])
    assert len(set(found.values())) == len(found)
    assert found["greedy"] != found["raster"]
