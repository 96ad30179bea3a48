"""One grown results tree and its page, for all tests that only look at them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oarpipe.base.receipts import checked
from oarpipe.config.book import Book
from oarpipe.reports.results import Results
from oarpipe.stages.report import report
from tests.reports.tree import FLAGS, grow, small_book

Reporter = Callable[..., str]


def write_report(book: Book, root: Path, **options: object) -> str:
    """Grows a tree for the book and returns its page."""
    given = grow(book, root / "results", **options)  # type: ignore[arg-type]
    report(book.recipe("reports", "r", 0), **given, out=root / "report")
    return (root / "report" / "report.html").read_text()


def read_results(book: Book, root: Path, **options: object) -> Results:
    """Grows a tree for the book and returns its results."""
    tables = {flag: table for table, flag in FLAGS.items()}
    given = {tables.get(name, name): paths for name, paths in grow(book, root, **options).items()}  # type: ignore[arg-type]
    return Results({table: [checked(path, table) for path in paths] for table, paths in given.items()})


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the small book with one seed."""
    root = tmp_path_factory.mktemp("one-seed")
    write_report(small_book(), root)
    return root / "report" / "report.html"


@pytest.fixture(scope="session")
def page(page_file: Path) -> str:
    """Its text."""
    return page_file.read_text()


@pytest.fixture(scope="session")
def three_seeds_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of the small book with three seeds."""
    return write_report(small_book((0, 1, 2)), tmp_path_factory.mktemp("three-seeds"))
