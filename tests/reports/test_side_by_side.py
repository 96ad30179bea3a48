"""Every pair of arms: their means, their difference, its interval."""

import json
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from oarpipe.config.outputs import ReportConfig
from oarpipe.reports.pictures import Pictures, pictures
from oarpipe.reports.results import Results
from oarpipe.reports.side_by_side import side_by_side
from oarpipe.reports.tables import main_table
from tests.reports.conftest import read_results
from tests.reports.tree import small_book


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Pictures, dict[str, Any]]:
    root = tmp_path_factory.mktemp("sides")
    book = small_book()
    results = read_results(book, root)
    entry = book.tables["reports"]["r"]
    assert isinstance(entry, ReportConfig)
    shown = pictures(results, entry)
    return results, shown, side_by_side(results, shown, main_table(results).columns)


def test_every_two_sets_that_are_shown_have_their_differences(
    made: tuple[Results, Pictures, dict[str, Any]],
) -> None:
    _, shown, data = made
    count = sum(len(one.pairs) for one in shown.arms)
    assert len(data["sides"]) == len(set(data["sides"])) == count
    assert set(data["differences"]) == {f"{i}-{j}" for i, j in combinations(range(count), 2)}


def test_a_difference_and_its_interval_are_those_of_the_two_sets(
    made: tuple[Results, Pictures, dict[str, Any]],
) -> None:
    results, shown, data = made
    metric = next(i for i, c in enumerate(data["columns"]) if c["name"] == "fd[digits]")
    sets = results.evaluations[0]["sets"]
    (first, second) = (
        sets[one.arm.name if pair.setting == "plain" else f"{pair.setting}/{one.arm.name}"]
        for one, pair in [(one, pair) for one in shown.arms for pair in one.pairs][:2]
    )
    left, right, mean, low, high = data["differences"]["0-1"][metric]
    a, b = (one["metrics"]["fd[digits]"] for one in (first, second))
    assert [left, right, mean] == pytest.approx([a, b, a - b], rel=1e-6)
    gaps = np.subtract(*(one["replicates"]["fd[digits]"] for one in (first, second)))
    expected = np.percentile(gaps, [2.5, 97.5]) - gaps.mean() + (a - b)
    assert [low, high] == pytest.approx(list(expected), rel=1e-6)


def test_a_metric_that_was_not_resampled_has_no_interval(
    made: tuple[Results, Pictures, dict[str, Any]],
) -> None:
    _, _, data = made
    recall = next(i for i, c in enumerate(data["columns"]) if c["name"] == "recall")
    assert data["differences"]["0-1"][recall][3:] == [None, None]


def test_the_data_is_plain_json(made: tuple[Results, Pictures, dict[str, Any]]) -> None:
    assert json.loads(json.dumps(made[2])) == made[2]
