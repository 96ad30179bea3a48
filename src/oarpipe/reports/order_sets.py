"""Sets of orders to analyse: extractions as their tables hold them, and generations as they were walked."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from oarpipe.base.grid import Grid
from oarpipe.data.order_table import NO_CAPTION, OrderTable
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import BadInput
from oarpipe.metrics.paths import mean_step_distance

MOST_ROWS = 50_000  # a larger set is represented by the multiples of a number among its sample ids


@dataclass(frozen=True)
class OrderSet:
    """Orders with their name; of a generation, `sample_id` are its seeds and `store` holds its images."""

    name: str
    grid: Grid
    table: OrderTable
    store: SampleStore | None = None

    @property
    def first_view(self) -> OrderTable:
        """The rows of view 0: one an image."""
        return _rows(self.table, self.table.view == 0)


def read_sets(paths: Sequence[Path]) -> list[OrderSet]:
    """Order tables, or the folders of extractions or sample sets.

    `IncompleteData` or `BadInput` names the first that is neither, or is named twice.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _read(path: Path, name: str) -> OrderSet:
    if path.name == "samples.zarr" or (path / "samples.zarr").is_dir():
        store = SampleStore.open(path if path.name == "samples.zarr" else path / "samples.zarr")
        return OrderSet(name, store.grid, _thinned(_generated(store)), store)
    file = path / "orders.parquet" if path.is_dir() else path
    table = OrderTable.read(file)
    if not len(table):
        raise BadInput(f"{file}: holds no orders; name another, or extract from a split with images")
    if "grid" not in table.provenance:
        raise BadInput(f"{file}: its metadata name no grid; name a table that `oarpipe merge-orders` wrote")
    return OrderSet(name, Grid.parse(table.provenance["grid"]), _thinned(table))


def _generated(store: SampleStore) -> OrderTable:
    order = store.read("orders")
    return OrderTable(
        sample_id=store.read("seeds"),
        view=np.zeros(len(order), np.uint8),
        caption=np.full(len(order), NO_CAPTION, np.int16),
        label=store.read("labels"),
        order=order,
        score=store.read("scores"),
        mean_step_distance=mean_step_distance(torch.from_numpy(order.astype(np.int64)), store.grid).numpy(),
        provenance={},
    )


def _thinned(table: OrderTable) -> OrderTable:
    every = -(-len(table) // MOST_ROWS)
    return table if every == 1 else _rows(table, table.sample_id % every == 0)


def _rows(table: OrderTable, chosen: np.ndarray) -> OrderTable:
    columns = {f.name: getattr(table, f.name)[chosen] for f in fields(table) if f.name != "provenance"}
    return replace(table, **columns)


def _names(paths: Sequence[Path]) -> list[str]:
    """The fewest last parts of each path that tell it from the others."""
    absolute = [path.absolute() for path in paths]
    folders = [path.parent if path.suffix in (".parquet", ".zarr") else path for path in absolute]
    files = [path.stem if path.suffix == ".parquet" and path.stem != "orders" else "" for path in paths]
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = [
            "/".join([*folder.parts[-depth:], file]).rstrip("/")
            for folder, file in zip(folders, files, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
    raise BadInput(f"{paths[0]}: named twice; name each set of orders once")
