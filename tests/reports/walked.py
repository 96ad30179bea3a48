"""Small sets of orders to analyse, and finished results that they are about."""

from pathlib import Path

import numpy as np
import torch

from oarpipe.base.grid import Grid
from oarpipe.data.order_table import NO_CAPTION, OrderTable
from oarpipe.metrics.paths import mean_step_distance

SQUARE = Grid(3, 3)
RASTER = list(range(9))


def order_table(
    rows: list[tuple[int, int, list[int]]],
    *,
    view: int | list[int] = 0,
    grid: Grid = SQUARE,
    tokens: str = "",
) -> OrderTable:
    """A table of (sample id, label, order); `view` is one for all, or one a row."""
    order = np.array([row[2] for row in rows], np.uint16).reshape(len(rows), -1 if rows else grid.positions)
    return OrderTable(
        sample_id=np.array([row[0] for row in rows], np.int64),
        view=np.broadcast_to(np.array(view, np.uint8), len(rows)).copy(),
        caption=np.full(len(rows), NO_CAPTION, np.int16),
        label=np.array([row[1] for row in rows], np.int32),
        order=order,
        score=np.zeros(order.shape, np.float32),
        mean_step_distance=mean_step_distance(torch.from_numpy(order.astype(np.int64)), grid).numpy(),
        provenance={"grid": str(grid), "tokens": tokens},
    )


def write(folder: Path, table: OrderTable) -> str:
    """The folder of an extraction, as a word of the command line."""
    table.write(folder / "orders.parquet")
    return str(folder)
