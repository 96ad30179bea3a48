"""A book's costs on given GPUs: hours of every entry, their sums, and the chain that all wait for."""

from dataclasses import dataclass
from typing import Any

from oarpipe.config.book import SHARED, Book
from oarpipe.tools.costs import Cost, Costing
from oarpipe.tools.gpus import GPU, GPUS
from oarpipe.tools.sizing import Sizing


@dataclass(frozen=True)
class Machines:
    """`gpus` of one kind, which reach the share `mfu` of their dense rates."""

    name: str
    gpus: int
    mfu: float

    @property
    def gpu(self) -> GPU:
        """What one of them is made for."""
        return GPUS[self.name]


@dataclass(frozen=True)
class Row:
    """An entry under all its seeds; `alone` are the hours that one seed takes on all the GPUs."""

    table: str
    name: str
    cost: Cost
    seeds: int
    gpu_hours: float
    alone: float

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    @property
    def tflop(self) -> float:
        """In units of 1e12."""
        return self.seeds * self.cost.flop / 1e12

    @property
    def disk(self) -> int:
        """Bytes."""
        return self.seeds * self.cost.disk

    @property
    def jobs(self) -> int:
        """How many, with those that merge."""
        return self.seeds * (self.cost.jobs + (self.cost.merge is not None))


@dataclass(frozen=True)
class Forecast:
    """What a book costs; `assumed` is what had to be assumed for it."""

    book: Book
    machines: Machines
    rows: list[Row]
    assumed: list[str]

    @property
    def gpu_hours(self) -> float:
        """In all."""
        return sum(row.gpu_hours for row in self.rows)

    def chain(self) -> list[Row]:
        """The longest chain of entries under one seed, each of which waits for the one before."""
        rows = {(row.table, row.name): row for row in self.rows}
        best: dict[tuple[str, str], tuple[float, tuple[str, str] | None]] = {}

        def length(node: tuple[str, str]) -> float:
            if node not in best:
                before = [t for ts in self.book.ingredients(*node).values() for t in ts]
                longest = max(before, key=length, default=None)
                best[node] = (rows[node].alone + (length(longest) if longest else 0.0), longest)
            return best[node][0]

        node: tuple[str, str] | None = max(rows, key=length, default=None)
        found = []
        while node is not None:
            found.append(rows[node])
            node = best[node][1]
        return found[::-1]

    def facts(self) -> dict[str, Any]:
        """Everything as plain data."""
        chain, rows = self.chain(), self.rows
        return {
            "book": self.book.name,
            "seeds": list(self.book.seeds),
            "gpu": self.machines.name,
            "gpus": self.machines.gpus,
            "mfu": self.machines.mfu,
            "assumed": self.assumed,
            "entries": [
                {
                    "table": row.table,
                    "name": row.name,
                    "verb": row.cost.verb,
                    "tflop": row.tflop,
                    "tflop_bfloat16": row.seeds * row.cost.bfloat16 / 1e12,
                    "gpu_hours": row.gpu_hours,
                    "disk_bytes": row.disk,
                    "memory_bytes": row.cost.memory,
                    "jobs": row.jobs,
                }
                for row in rows
            ],
            "total": {
                "tflop": sum(row.tflop for row in rows),
                "gpu_hours": self.gpu_hours,
                "disk_bytes": sum(row.disk for row in rows),
                "jobs": sum(row.jobs for row in rows),
            },
            "longest_chain": [str(row) for row in chain],
            "hours_at_least": max(sum(row.alone for row in chain), self.gpu_hours / self.machines.gpus),
        }


def forecast(
    book: Book, machines: Machines, *, images: int | None = None, size: str | None = None
) -> Forecast:
    """The costs of a book; extraction and generation are cut into a job a GPU."""
    sizing, gpu = Sizing(book, images=images, size=size), machines.gpu
    costing, rows = Costing(sizing, shards=machines.gpus), []
    for table, entries in book.tables.items():
        seeds = 1 if table in SHARED or table == "reports" else len(book.seeds)
        for name in entries:
            cost = costing.of(table, name)
            seconds = (cost.bfloat16 / gpu.bfloat16 + cost.float32 / gpu.float32) / 1e12 / machines.mfu
            hours = seconds / 3600
            rows.append(Row(table, name, cost, seeds, seeds * hours, hours / min(cost.jobs, machines.gpus)))
    return Forecast(book, machines, rows, sizing.assumed)
