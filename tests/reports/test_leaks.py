"""Pages that show orders by the score `truth` say that these leak the target; others say nothing of it."""

import re

import pytest

from oarpipe.config.book import Book
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.outputs import InformationConfig
from oarpipe.config.samples import SamplesConfig
from tests.reports.conftest import write_report
from tests.reports.tree import small_book

WORDS = "leak the target: what images cost in them is no likelihood"


def with_truth() -> Book:
    """The small book with two extractions by `truth`: a model learns of one, walks follow both."""
    book = small_book()
    truth = {"kind": "table", "orders": "truth"}
    extraction = {"model": "any", "tokens": "t", "policy": {"select": "greedy", "score": "truth"}}
    lazy = {**extraction, "policy": {"select": "lazy", "score": "truth"}}
    tuned = {"tokens": "t", "init": "any", "train": {"steps": 4}, "order": {"kind": "anneal", "to": truth}}
    sampled = {"model": "informed", "count": 40, "policy": {"select": "greedy"}}
    walked = {
        "raster": {"kind": "rule", "name": "raster"},
        "backwards": {"kind": "reversed", "of": truth},
        "lazy": {"kind": "table", "orders": "lazy_truth"},
    }
    book.tables["orders"] |= {
        "truth": OrdersConfig.model_validate(extraction),
        "lazy_truth": OrdersConfig.model_validate(lazy),
    }
    book.tables["models"]["informed"] = ModelConfig.model_validate(tuned)
    book.tables["samples"]["informed_greedy"] = SamplesConfig.model_validate(sampled)
    book.tables["information"]["i"] = InformationConfig.model_validate({"tokens": "t", "orders": walked})
    return book


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(with_truth(), tmp_path_factory.mktemp("leaks"), distance=lambda arm, seed: 5.0)


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("table", "truth"),
        ("health", "backwards, lazy"),
        ("orders", "truth, lazy_truth"),
        ("agreement", "truth, lazy_truth"),
    ],
)
def test_a_section_that_shows_such_orders_names_them_once(telling: str, section: str, names: str) -> None:
    (text,) = re.findall(rf'<section id="{section}".*?</section>', telling, flags=re.DOTALL)
    told = re.findall(rf"By the score “truth”: ([\w, ]+)\. It looks at the code .*?{WORDS}", text)
    assert told == [names]


def test_a_page_without_such_orders_does_not_speak_of_them(page: str) -> None:
    assert WORDS not in page
    assert "“truth”" not in page
