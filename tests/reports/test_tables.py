"""The main table and the searches, from a grown tree."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.reports.results import Results
from oarpipe.reports.tables import Cell, Column, MainTable, SearchTable, main_table, search_tables
from tests.reports.conftest import read_results
from tests.reports.tree import small_book


def results(root: Path, seeds: tuple[int, ...] = (0,)) -> Results:
    return read_results(small_book(seeds), root)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("three"), (0, 1, 2))


def column(table: MainTable, name: str) -> tuple[int, Column]:
    return next((i, c) for i, c in enumerate(table.columns) if c.metric == name)


def cells(table: MainTable, metric: str, group: int = 0) -> dict[str, Cell]:
    place, _ = column(table, metric)
    return {row.arm.name: row.groups[group][1][place] for row in table.rows}


def test_rows_stand_in_the_papers_order(one_seed: Results) -> None:
    assert [row.arm.name for row in main_table(one_seed).rows] == [
        "any_greedy",
        "any_random",
        "raster_annealed_raster",
        "greedy_annealed_greedy",
        "greedy_annealed_random",
    ]


def test_the_best_value_is_marked_by_each_metrics_direction(one_seed: Results) -> None:
    table = main_table(one_seed)
    for metric in ("fd[digits]", "is[digits]", "recall"):
        marks = {name for name, cell in cells(table, metric).items() if cell.mark == "best"}
        assert marks == {"raster_annealed_raster"}
    assert {cell.mark for cell in cells(table, "mean_step_distance").values()} == {""}


def test_one_seed_shows_a_bootstrap_interval_that_holds_the_value(one_seed: Results) -> None:
    cell = cells(main_table(one_seed), "fd[digits]")["any_random"]
    low, high = (float(edge) for edge in cell.detail.split(" – "))
    assert low < float(cell.text) < high


def test_three_seeds_show_mean_and_standard_deviation(three_seeds: Results) -> None:
    points = [v.point for v in three_seeds.series("any_random", "plain", "fd[digits]").values()]
    cell = cells(main_table(three_seeds), "fd[digits]")["any_random"]
    assert cell.text == f"{np.mean(points):.2f}"
    assert cell.detail == f"± {np.std(points, ddof=1):.2f}"


def test_arms_that_were_not_searched_have_empty_cells(one_seed: Results) -> None:
    table = main_table(one_seed)
    searched = cells(table, "fd[digits]", group=1)
    assert searched["any_greedy"] == Cell()
    assert searched["any_random"].href == "#made-searches-best-any_random"
    settings = {row.arm.name: row.groups[1][0] for row in table.rows}
    assert settings["any_random"] == "T 0.8, g 1"
    assert settings["any_greedy"] == ""


def test_a_kernel_distance_is_told_with_three_digits(one_seed: Results) -> None:
    _, kd = column(main_table(one_seed), "kd[digits]")
    assert kd.decimals == 5  # values about 0.006


def test_a_search_marks_the_cell_that_was_chosen(one_seed: Results) -> None:
    tables = search_tables(one_seed)
    assert [table.arm for table in tables] == ["any_random", "greedy_annealed_greedy"]
    marks = {t: [cell.mark for cell in row] for t, row in tables[0].rows}
    assert marks == {0.8: ["best"], 1.0: [""]}
    assert tables[0].verdict == "clearly the best of 2 settings"


def test_a_search_tells_the_best_cells_interval_and_which_cannot_be_told_from_it(one_seed: Results) -> None:
    def cell(t: float, value: float, gap: list[float] | None) -> dict[str, Any]:
        edges = {"low": value - 0.1, "high": value + 0.1} if gap else {"low": None, "high": None}
        return {"temperature": t, "guidance": 1.0, "value": value, **edges, "above_best": gap}

    def table(*cells: dict[str, Any]) -> SearchTable:
        receipt, content = one_seed.searches[0]
        found = Results(one_seed.receipts)
        found.__dict__["searches"] = [(receipt, {**content, "grid": list(cells), "best": cells[0]})]
        return search_tables(found)[0]

    told = table(cell(1.0, 3.0, [0, 0]), cell(1.1, 3.1, [-0.1, 0.3]), cell(1.2, 3.5, [0.2, 0.8]))
    shown = [(row[0].text, row[0].detail, row[0].mark) for _, row in told.rows]
    assert shown == [("3.00", "2.90 – 3.10", "best"), ("3.10", "", "tied"), ("3.50", "", "")]
    assert told.verdict == "1 of 2 other settings not distinguishable"
    assert table(cell(1.0, 3.0, None), cell(1.1, 3.1, None)).verdict == "not resampled"
    assert table(cell(1.0, 3.0, [0, 0])).verdict == "the only setting"
