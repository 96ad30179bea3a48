"""The section on cheaper extractions: which are compared, and with what figures."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.files import read_json, write_json
from oarpipe.base.receipts import checked
from oarpipe.config.book import Book
from oarpipe.config.orders import GreedyConfig, LazyConfig, OrdersConfig
from oarpipe.config.outputs import InformationConfig
from oarpipe.data.order_table import OrderTable
from oarpipe.decoding.flops import walk_cost
from oarpipe.models.flops import ModelSize
from oarpipe.reports.agreements import cheaper_extractions
from oarpipe.reports.results import Results
from tests.reports.conftest import write_report
from tests.reports.tree import grow, small_book

SIZE = ModelSize(layers=4, heads=3, width=96, hidden=256, codebook=64, positions=36)
LAZY = {"select": "lazy", "share": 0.2}
TOP = {"select": "greedy", "per_step": {"kind": "cosine", "steps": 9}}


def orders(**options: Any) -> OrdersConfig:
    return OrdersConfig.model_validate({"model": "any", "tokens": "t", **options})


def with_orders(**entries: OrdersConfig) -> Book:
    """The small book with these extractions, all of which its information walks."""
    book = small_book()
    walked = {name: {"kind": "table", "orders": name} for name in entries}
    information = {"tokens": "t", "split": "train", "orders": {"random": {"kind": "random"}, **walked}}
    tables = {
        **book.tables,
        "orders": {"greedy": orders(), **entries},
        "information": {"i": InformationConfig.model_validate(information)},
    }
    return replace(book, tables=tables)


def results_of(book: Book, root: Path) -> Results:
    given = grow(book, root)
    given["evaluations"], given["benchmarks"] = given.pop("evaluation"), given.pop("benchmark")
    return Results({name: [checked(path, name) for path in paths] for name, paths in given.items()})


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Results:
    book = with_orders(
        lazy=orders(policy=LAZY, count=20), top=orders(policy=TOP), bf16=orders(precision="bfloat16")
    )
    return results_of(book, tmp_path_factory.mktemp("results"))


def test_the_exact_extraction_stands_at_the_head_and_the_dearest_first(found: Results) -> None:
    (one,) = cheaper_extractions(found)
    assert (one.exact, one.model, one.positions) == ("greedy", "any", 36)
    assert [row.name for row in one.rows] == ["bf16", "top", "lazy"]
    assert [row.policy for row in one.rows] == [
        "greedy, bfloat16", "greedy, 9 steps", "greedy, lazy (2 + 20%)",
    ]  # fmt: skip


def test_flop_are_those_of_the_closed_form(found: Results) -> None:
    shares = {row.name: row.flop_share for row in cheaper_extractions(found)[0].rows}
    exact = walk_cost(SIZE, GreedyConfig(select="greedy"))
    assert shares["bf16"] == 1.0
    assert shares["lazy"] == walk_cost(SIZE, LazyConfig.model_validate(LAZY)) / exact
    assert shares["top"] == walk_cost(SIZE, GreedyConfig.model_validate(TOP)) / exact


def test_orders_are_compared_image_by_image(found: Results) -> None:
    folder = next(r.folder for r in found.receipts["orders"] if r.name == "lazy")
    table = OrderTable.read(folder / "orders.parquet")
    assert {row.facts["tau"] for row in cheaper_extractions(found)[0].rows} == {1.0}
    replace(table, order=table.order[:, ::-1]).write(folder / "orders.parquet")
    taus = {row.name: row.facts["tau"] for row in cheaper_extractions(found)[0].rows}
    table.write(folder / "orders.parquet")
    assert taus == {"bf16": 1.0, "top": 1.0, "lazy": -1.0}


def test_the_walks_likelihood_is_joined_where_it_was_measured(found: Results) -> None:
    measured = found.information[0]["models"]["any"]
    (one,) = cheaper_extractions(found)
    assert {row.name: row.nll for row in one.rows} == {
        row.name: measured[row.name]["nll"] for row in one.rows
    }
    assert one.nll is None  # the small book's own extraction is not walked


def test_seconds_compare_only_on_one_machine(found: Results) -> None:
    file = next(r.folder for r in found.receipts["orders"] if r.name == "top") / "run.json"
    facts = read_json(file)
    exact = read_json(file.parent.parent / "greedy" / "run.json")
    write_json(file, {**facts, "seconds": exact["seconds"] / 4})
    shares = {row.name: row.seconds_share for row in cheaper_extractions(found)[0].rows}
    write_json(file, {**facts, "host": "another"})
    elsewhere = {row.name: row.seconds_share for row in cheaper_extractions(found)[0].rows}
    write_json(file, facts)
    assert shares["top"] == pytest.approx(0.25)
    assert elsewhere["top"] is None


def test_one_extraction_has_nothing_to_be_compared_with(tmp_path: Path, page: str) -> None:
    assert cheaper_extractions(results_of(small_book(), tmp_path)) == []
    assert 'id="agreement"' not in page


def test_the_page_shows_the_table(tmp_path: Path) -> None:
    page = write_report(with_orders(lazy=orders(policy=LAZY)), tmp_path)
    section = re.search(r'<section id="agreement".*?</section>', page, flags=re.DOTALL)
    assert section
    assert "times cheaper" in section[0]
    assert '<a href="#agreement">' in page
