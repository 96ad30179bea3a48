"""Quality against cost: what is compared, by how much, and when the page shows it."""

from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.files import read_json, write_json
from oarpipe.base.receipts import checked
from oarpipe.config.book import Book, validate
from oarpipe.config.orders import FollowConfig, GreedyConfig, PredictedConfig, RandomConfig
from oarpipe.decoding.flops import walk_cost
from oarpipe.models.flops import ModelSize, ffn_width
from oarpipe.reports.results import Results
from oarpipe.reports.tradeoffs import RASTER, tradeoffs
from oarpipe.stages.report import report
from tests.reports.tree import grow, small_book

SIZE = ModelSize(layers=4, heads=3, width=96, hidden=ffn_width(96), codebook=64, positions=36)
PREDICTED = {"select": "predicted", "head": "h", "candidates": 2}


def book() -> Book:
    """The small one with further ways to sample `any`."""
    plain = small_book()
    samples: dict[str, Any] = {
        "any_raster": {"model": "any", "count": 40, "policy": RASTER.model_dump()},
        "any_predicted": {"model": "any", "count": 40, "policy": PREDICTED},
        "any_hot": {"model": "any", "count": 40, "temperature": 2.0, "policy": PREDICTED},
    }
    head = {"model": "any", "tokens": "t", "orders": "greedy", "width": 32, "train": {"steps": 1}}
    tables = {
        table: {name: entry.model_dump() for name, entry in entries.items()}
        for table, entries in plain.tables.items()
    }
    tables["samples"] |= samples
    return validate({"name": "small", "seeds": [0], **tables, "order_heads": {"h": head}})


def cost(policy: Any) -> int:
    return walk_cost(SIZE, policy, head=32)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return grow(book(), tmp_path_factory.mktemp("tree"), distance=lambda arm, seed: 5.0 + len(arm.sampled_in))


@pytest.fixture(scope="module")
def results(given: dict[str, list[Path]]) -> Results:
    tables = {"evaluation": "evaluations", "benchmark": "benchmarks"}
    return Results(
        {
            tables.get(flag, flag): [checked(path, tables.get(flag, flag)) for path in paths]
            for flag, paths in given.items()
        }
    )


def test_sets_that_differ_in_more_than_their_places_are_not_compared(results: Results) -> None:
    (found,) = tradeoffs(results)
    assert (found.model, found.exact) == ("any", "any_greedy")
    assert {way.name for way in found.ways} == {"any_random", "any_greedy", "any_raster", "any_predicted"}


def test_cost_is_a_multiple_of_raster_order_with_the_heads_own(results: Results) -> None:
    ways = {way.name: way.flop for way in tradeoffs(results)[0].ways}
    predicted = PredictedConfig.model_validate(PREDICTED)
    assert ways["any_raster"] == ways["any_random"] == 1.0
    assert ways["any_greedy"] == cost(GreedyConfig(select="greedy")) / cost(RASTER)
    assert ways["any_predicted"] == cost(predicted) / cost(RASTER)
    assert cost(RASTER) == cost(FollowConfig(select="follow", order=RandomConfig()))


def test_the_difference_is_to_exact_greedy_and_paired(results: Results) -> None:
    ways = {way.name: way for way in tradeoffs(results)[0].ways}
    assert ways["any_greedy"].gap is None
    gap = ways["any_random"].gap
    assert gap is not None
    assert gap.mean == pytest.approx(len("random") - len("greedy"))
    assert ways["any_random"].is_told_apart is False


def test_what_the_monitor_refused_is_told(given: dict[str, list[Path]], results: Results) -> None:
    file = next(path for path in given["samples"] if path.name == "any_predicted") / "run.json"
    write_json(file, {**read_json(file), "counts": {"predicted_places": 200, "exact_steps": 50}})
    ways = {way.name: way.distrusted for way in tradeoffs(results)[0].ways}
    assert ways["any_predicted"] == 0.25
    assert ways["any_greedy"] is None


def test_the_page_shows_it_where_something_is_cheaper(
    given: dict[str, list[Path]], tmp_path: Path, page: str
) -> None:
    report(book().recipe("reports", "r", 0), **given, out=tmp_path)  # type: ignore[arg-type]
    text = (tmp_path / "report.html").read_text()
    assert "What an order costs: any" in text
    assert "as a multiple of raster order" in text
    assert "its first choice in 50.0 % of steps, among its best four in 80.0 %" in text
    assert "What an order costs" not in page
