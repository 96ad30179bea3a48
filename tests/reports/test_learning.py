"""What the report shows of tokenizers, judged or not."""

from pathlib import Path

import pytest

from oarpipe.base.receipts import checked
from oarpipe.reports.learning import reconstructions
from oarpipe.reports.results import Results
from tests.reports.tree import grow, small_book


@pytest.fixture
def results(tmp_path: Path) -> Results:
    given = grow(small_book(), tmp_path)
    tables = {"evaluation": "evaluations", "benchmark": "benchmarks"}
    return Results(
        {
            tables.get(flag, flag): [checked(folder, tables.get(flag, flag)) for folder in folders]
            for flag, folders in given.items()
        }
    )


def test_a_judged_tokenizer_has_numbers_and_pictures(results: Results) -> None:
    (shown,) = reconstructions(results)
    assert shown.name == "v"
    assert "SSIM" in shown.numbers
    assert shown.sheet is not None


def test_a_tokenizer_that_was_not_judged_has_its_pictures(results: Results) -> None:
    (results.receipts["tokenizers"][0].folder / "reconstruction.json").unlink()
    (shown,) = reconstructions(results)
    assert shown.numbers == {}
    assert shown.sheet is not None


def test_codes_without_images_have_no_pictures(results: Results) -> None:
    del results.receipts["tokens"][0].recipe["dataset"]
    (shown,) = reconstructions(results)
    assert shown.sheet is None
    (results.receipts["tokenizers"][0].folder / "reconstruction.json").unlink()
    assert reconstructions(results) == []
