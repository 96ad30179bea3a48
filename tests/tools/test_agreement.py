"""The command `agreement`, on tables written here."""

import json
from pathlib import Path

import numpy as np
import pytest

from oarpipe.cli import main
from oarpipe.data.order_table import NO_CAPTION, OrderTable


def table(samples: list[int], order: list[int], score: float) -> OrderTable:
    rows = len(samples)
    return OrderTable(
        sample_id=np.array(samples, np.int64),
        view=np.zeros(rows, np.uint8),
        caption=np.full(rows, NO_CAPTION, np.int16),
        label=np.zeros(rows, np.int32),
        order=np.tile(np.array(order, np.uint16), (rows, 1)),
        score=np.full((rows, len(order)), score, np.float32),
        mean_step_distance=np.ones(rows, np.float32),
        provenance={},
    )


def write(folder: Path, content: OrderTable) -> str:
    folder.mkdir()
    content.write(folder / "orders.parquet")
    return str(folder)


def test_images_in_common_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write(tmp_path / "first", table([1, 2, 3], [0, 1, 2, 3], 0.5))
    second = write(tmp_path / "second", table([2, 3, 9], [3, 2, 1, 0], 0.25))
    assert main(["agreement", first, f"{second}/orders.parquet", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == 2
    assert facts["tau"] == -1.0
    assert facts["score_ratio"] == 0.5
    assert main(["agreement", first, second]) == 0
    assert "Kendall's tau, mean" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("samples", "order", "said"),
    [([1], [0, 1], "orders of 4 and of 2 positions"), ([7], [0, 1, 2, 3], "no image in common")],
)
def test_what_does_not_compare_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], samples: list[int], order: list[int], said: str
) -> None:
    first = write(tmp_path / "first", table([1, 2], [0, 1, 2, 3], 0.5))
    second = write(tmp_path / "second", table(samples, order, 0.5))
    assert main(["agreement", first, second]) == 2
    assert said in capsys.readouterr().err
