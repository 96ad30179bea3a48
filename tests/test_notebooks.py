"""The notebooks run, cell by cell, on results made here, and what they show is so."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.grid import Grid
from oarpipe.data.indexing import examine
from oarpipe.data.sources.digits import DigitsSource
from oarpipe.metrics.paths import random_step_distance
from tests.metrics.walks import random_orders
from tests.reports.walked import order_table

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"
GRID = Grid(6, 6)


@pytest.fixture(scope="module")
def executed() -> Any:
    """What `renew.py` does with a notebook."""
    return runpy.run_path(str(NOTEBOOKS / "renew.py"))["executed"]


def read(name: str) -> dict[str, Any]:
    content = json.loads((NOTEBOOKS / name).read_text())
    assert isinstance(content, dict)
    return content


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text(cell: dict[str, Any]) -> str:
    """What a cell shows, as plain text."""
    shown = [out.get("text", out.get("data", {}).get("text/plain", [])) for out in cell["outputs"]]
    return "".join("".join(lines) for lines in shown)


def test_the_notebook_on_orders_answers_its_questions(
    executed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results/smoke/seed-0"
    index = examine(DigitsSource()).index
    (results / "datasets/digits").mkdir(parents=True)
    index.write(results / "datasets/digits/index.parquet")
    ids, orders = index.rows("train")[:60], random_orders(60, 36)
    table = order_table(
        [(int(i), int(index.label[i]), order.tolist()) for i, order in zip(ids, orders, strict=True)],
        grid=GRID,
    )
    table.provenance["policy"] = "greedy"
    table.score[:] = np.random.default_rng(0).random(table.score.shape, np.float32)
    table.write(results / "orders/greedy/orders.parquet")
    monkeypatch.chdir(tmp_path)

    cells = code_cells(executed(read("orders.ipynb")))
    assert all(cell["outputs"] for cell in cells)
    assert "60 orders on 6x6 places, policy greedy" in text(cells[1])
    lowest = np.argsort(orders[table.label == table.label.min()], axis=1).mean(axis=0)
    assert [f"{value:.1f}" in text(cells[2]) for value in lowest.round(1)] == [True] * 36
    assert f"random orders: {random_step_distance(GRID):.3f}" in text(cells[4])
    known = np.corrcoef(table.mean_step_distance, table.score.mean(axis=1))[0, 1]
    assert f"correlation of d with the mean score: {known:+.2f}" in text(cells[5])
    rows, columns = orders[:, :9] // 6, orders[:, :9] % 6
    on_the_rim = (np.isin(rows, [0, 5]) | np.isin(columns, [0, 5])).mean(axis=1)
    for label in np.unique(table.label):
        share = on_the_rim[table.label == label].mean()
        assert any(
            line.split()[1:] == [str(label), f"{share:.3f}", str(9 * (table.label == label).sum())]
            for line in text(cells[6]).splitlines()
        )
    assert "image/png" in cells[7]["outputs"][-1]["data"]


@pytest.mark.parametrize("name", sorted(file.name for file in NOTEBOOKS.glob("*.ipynb")))
def test_every_cell_of_a_shipped_notebook_was_run_in_order(name: str) -> None:
    notebook = read(name)
    assert notebook["nbformat"] == 4
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert all(cell["outputs"] for cell in code_cells(notebook))
