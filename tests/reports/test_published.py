"""What the first sentence says of a published number, by the value that was measured."""

from pathlib import Path
from typing import Any

import pytest

from oarpipe.config.outputs import PublishedConfig
from oarpipe.errors import BadInput
from oarpipe.reports.published import Reached, reached
from oarpipe.reports.results import Results
from tests.reports.conftest import read_results, write_report
from tests.reports.tree import small_book

HERE = 2.29  # what is measured on seed 0; a further seed measures a tenth more


def results(root: Path, seeds: tuple[int, ...] = (0,)) -> Results:
    return read_results(small_book(seeds), root, distance=lambda arm, seed: HERE + seed / 10)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("one"))


def said(found: Results, value: float, **changes: Any) -> Reached:
    asked = {"samples": "any_random", "metric": "fd[digits]", "tolerance": 0.05, "source": "its README"}
    return reached(found, PublishedConfig.model_validate({**asked, "value": value, **changes}))


def test_a_number_within_the_tolerance_is_reached_and_told_with_its_interval(one_seed: Results) -> None:
    for published in (2.27, 2.33):
        told = said(one_seed, published)
        begin = f"any reaches its published fd[digits] of {published} (its README): 2.29 here, in [2."
        assert told.sentence.startswith(begin)
        assert (told.holds, told.warning) == (True, "")


def test_a_number_that_is_not_reached_puts_the_evaluation_in_doubt(one_seed: Results) -> None:
    told = said(one_seed, 2.2)
    assert told.sentence.startswith(
        "any does not reach its published fd[digits] of 2.20 (its README) within 0.05"
    )
    assert not told.holds
    assert "may be due to the evaluation" in told.warning


def test_a_number_far_better_than_published_is_in_doubt_too(one_seed: Results) -> None:
    told = said(one_seed, 3.5)
    assert told.sentence.startswith(
        "any is better than its published fd[digits] of 3.50 (its README) by more than"
    )
    assert "may be due to the evaluation" in told.warning


def test_where_more_is_better_less_does_not_reach(one_seed: Results) -> None:
    told = said(one_seed, 9.9, metric="is[digits]")
    assert "does not reach its published is[digits] of 9.90" in told.sentence
    assert told.sentence.endswith("here.")  # scores are not resampled


def test_the_best_setting_of_a_search_is_compared_by_its_own_number(one_seed: Results) -> None:
    assert "1.19 here" in said(one_seed, 1.2, samples="best/any_random").sentence


def test_several_seeds_are_told_by_mean_and_deviation(tmp_path: Path) -> None:
    told = said(results(tmp_path, (0, 1, 2)), 2.39)
    assert (
        told.sentence
        == "any reaches its published fd[digits] of 2.39 (its README): 2.39 ± 0.10 here, over 3 seeds."
    )


def test_a_metric_that_was_not_measured_is_named_with_those_that_were(one_seed: Results) -> None:
    with pytest.raises(
        BadInput, match=r"no fid of any_random was measured; expected one of accuracy, fd\[digits\]"
    ):
        said(one_seed, 2.27, metric="fid")


@pytest.mark.parametrize(("value", "warns"), [(6.2, False), (2.27, True)])
def test_it_is_the_first_sentence_of_the_page(value: float, warns: bool, tmp_path: Path) -> None:
    book = small_book()
    published = {
        "samples": "any_random",
        "metric": "fd[digits]",
        "value": value,
        "tolerance": 0.5,
        "source": "<b>",
    }
    report = book.tables["reports"]["r"].model_copy(
        update={"published": PublishedConfig.model_validate(published)}
    )
    book.tables["reports"]["r"] = report
    page = write_report(book, tmp_path)
    first = page[page.index("<h1>") : page.index('class="lead"')]
    assert f"its published fd[digits] of {value:.2f} (&lt;b&gt;)" in first
    assert ("may be due to the evaluation" in first) == warns
