"""Says what a book will cost, from the book alone: arithmetic, GPU-hours, disk, memory, jobs."""

from collections.abc import Iterator
from dataclasses import dataclass
from json import dumps
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Literal

from oarpipe.config.book import SHARED, Book, load_book
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.tools.costs import Cost
    from oarpipe.tools.gpus import GPU

MFU = 0.4  # share of the GPU's dense rate that is reached
_DOMINATING = 0.02  # share of the GPU-hours from which an entry is named

GPUName = Literal["a100", "a100-40", "a6000", "b200", "gh200", "h100", "h200", "l40s", "rtx4090"]


def plan(
    book: Path,
    *words: str,
    gpu: GPUName,
    gpus: int | None = None,
    mfu: float | None = None,
    images: int | None = None,
    size: Literal["B", "L", "XL", "XXL"] | None = None,
    json: bool = False,
) -> None:
    """Prints a table of every entry, all seeds together, and what dominates. No data are needed.

    oarpipe plan config/imagenet.yaml --gpu h100 --gpus 4
    oarpipe plan config/imagenet.yaml --gpu a100 --gpus 8 --mfu 0.3 'seeds=[0]'
    """
    from oarpipe.tools.gpus import GPUS

    strangers = [word for word in words if "=" not in word]
    if strangers:
        raise BadInput(f"'{strangers[0]}': expected changes to the book, such as 'seeds=[0]'")
    if gpus is not None and gpus < 1:
        raise BadInput(f"--gpus {gpus}: expected at least one")
    if mfu is not None and not 0 < mfu <= 1:
        raise BadInput(f"--mfu {mfu}: expected a share of the GPU's rate, above 0 and up to 1")
    made = Plan.of(load_book([book], words), gpu, GPUS[gpu], gpus or 1, mfu or MFU, images, size)
    print(dumps(made.facts(), indent=1) if json else "\n".join(made.lines()))


@dataclass(frozen=True)
class Row:
    """An entry under all its seeds; `hours` are GPU-hours, `alone` what one seed takes on the GPUs given."""

    table: str
    name: str
    cost: "Cost"
    seeds: int
    hours: float
    alone: float

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True)
class Plan:
    """What `plan` prints."""

    book: Book
    gpu_name: str
    gpu: "GPU"
    gpus: int
    mfu: float
    rows: list[Row]
    assumed: list[str]

    @classmethod
    def of(
        cls,
        book: Book,
        gpu_name: str,
        gpu: "GPU",
        gpus: int,
        mfu: float,
        images: int | None,
        size: str | None,
    ) -> "Plan":
        """The plan of a book; extraction and generation are cut into a job a GPU."""
        from oarpipe.tools.costs import Costing
        from oarpipe.tools.sizing import Sizing

        sizing = Sizing(book, images=images, size=size)
        costing = Costing(sizing, shards=gpus)
        rows = []
        for table, entries in book.tables.items():
            seeds = 1 if table in SHARED or table == "reports" else len(book.seeds)
            for name in entries:
                cost = costing.of(table, name)
                rate = (gpu.bfloat16 if cost.precision == "bfloat16" else gpu.float32) * 1e12 * mfu
                hours = cost.flop / rate / 3600
                rows.append(Row(table, name, cost, seeds, seeds * hours, hours / min(cost.jobs, gpus)))
        return cls(book, gpu_name, gpu, gpus, mfu, rows, sizing.assumed)

    @property
    def hours(self) -> float:
        """GPU-hours in all."""
        return sum(row.hours for row in self.rows)

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

        node: tuple[str, str] | None = max(rows, key=length)
        found = []
        while node is not None:
            found.append(rows[node])
            node = best[node][1]
        return found[::-1]

    def facts(self) -> dict[str, Any]:
        """The plan as plain data: FLOP in units of 1e12, bytes, hours."""
        chain = self.chain()
        return {
            "book": self.book.name,
            "seeds": list(self.book.seeds),
            "gpu": self.gpu_name,
            "gpus": self.gpus,
            "mfu": self.mfu,
            "assumed": self.assumed,
            "entries": [
                {
                    "table": row.table,
                    "name": row.name,
                    "verb": row.cost.verb,
                    "precision": row.cost.precision if row.cost.flop else None,
                    "tflop": row.seeds * row.cost.flop / 1e12,
                    "gpu_hours": row.hours,
                    "disk_bytes": row.seeds * row.cost.disk,
                    "memory_bytes": row.cost.memory,
                    "jobs": _jobs(row),
                }
                for row in self.rows
            ],
            "total": {
                "tflop": sum(row.seeds * row.cost.flop for row in self.rows) / 1e12,
                "gpu_hours": self.hours,
                "disk_bytes": sum(row.seeds * row.cost.disk for row in self.rows),
                "jobs": sum(map(_jobs, self.rows)),
            },
            "longest_chain": [str(row) for row in chain],
            "hours_at_least": max(sum(row.alone for row in chain), self.hours / self.gpus),
        }

    def lines(self) -> Iterator[str]:
        """The plan for people, on a hundred columns."""
        seeds = f"{len(self.book.seeds)} seeds together" if len(self.book.seeds) > 1 else "one seed"
        yield (
            f"{self.book.name}, {seeds}, on {self.gpus} x {self.gpu_name} at {self.mfu:.0%} of "
            f"{self.gpu.bfloat16:g} TFLOP/s (bfloat16) or {self.gpu.float32:g} (float32)"
        )
        yield ""
        yield _line("", "made by", "jobs", "TFLOP", "GPU-hours", "disk", "memory")
        for table in self.book.tables:
            rows = [row for row in self.rows if row.table == table]
            if rows:
                yield table
            yield from (self._row(row) for row in rows)
            if len(rows) > 1:
                yield self._sum("", rows)
        yield self._sum("all", self.rows)
        yield ""
        yield from self._conclusions()

    def _row(self, row: Row) -> str:
        cost = row.cost
        memory = (
            "" if cost.memory is None else _bytes(cost.memory) + ("!" if self._is_too_large(row) else " ")
        )
        return _line(
            f"  {row.name}",
            cost.verb + ("" if cost.precision == "float32" or not cost.flop else " bf16"),
            str(_jobs(row)),
            _number(row.seeds * cost.flop / 1e12),
            _number(row.hours),
            _bytes(row.seeds * cost.disk),
            memory,
        )

    def _sum(self, name: str, rows: list[Row]) -> str:
        flop = sum(row.seeds * row.cost.flop for row in rows) / 1e12
        disk = sum(row.seeds * row.cost.disk for row in rows)
        jobs, hours = sum(map(_jobs, rows)), sum(row.hours for row in rows)
        return _line(name or "  together", "", str(jobs), _number(flop), _number(hours), _bytes(disk), "")

    def _conclusions(self) -> Iterator[str]:
        """What dominates, how long it takes at least, what does not fit, and what was assumed."""
        largest = sorted((row for row in self.rows if row.hours), key=lambda row: -row.hours)
        named = [row for row in largest[:6] if row.hours >= _DOMINATING * self.hours]
        shares = ", ".join(f"{row} {row.hours / self.hours:.0%}" for row in named)
        yield from _told("most:", shares or "nothing that a GPU would notice")
        chain = self.chain()
        alone, spread = sum(row.alone for row in chain), self.hours / self.gpus
        steps = " -> ".join(str(row) for row in chain if row.alone and row.alone >= _DOMINATING * alone)
        yield from _told(
            "time:",
            f"at least {_span(max(alone, spread))}: all work over {self.gpus} GPUs takes {_span(spread)}, "
            f"the longest chain {_span(alone)}" + (f" ({steps})" if steps else ""),
        )
        for key in ("train.microbatch", "batch"):
            crowded = [row for row in self.rows if self._is_too_large(row) and _batch_key(row) == key]
            if crowded:
                names = ", ".join(f"{row} {_bytes(row.cost.memory or 0)}" for row in crowded)
                yield from _told(
                    "memory!", f"more than the {self.gpu.memory:g} GB of the GPU, lower `{key}`: {names}"
                )
        if self.gpus > 1:
            yield from _told(
                "jobs:",
                f"extraction and generation are cut into {self.gpus} jobs each: snakemake --set-scatter "
                f"extract={self.gpus} generate={self.gpus}",
            )
        yield from _told(
            "counted:",
            "matrix products, convolutions and attention; disk before compression, without logs and "
            "checkpoints; memory without the allocator's own. A walk in a given order waits for memory and "
            "not for arithmetic, so it takes longer than its TFLOP say.",
        )
        for sentence in self.assumed:
            yield from _told("assumed:", sentence)

    def _is_too_large(self, row: Row) -> bool:
        return row.cost.memory is not None and row.cost.memory > self.gpu.memory * 1e9


def _batch_key(row: Row) -> str:
    """The option by which an entry's memory goes down."""
    return "train.microbatch" if row.table in ("models", "tokenizers") else "batch"


def _told(label: str, text: str) -> list[str]:
    return wrap(text, 100, initial_indent=f"{label:<10}", subsequent_indent=" " * 10, break_on_hyphens=False)


def _jobs(row: Row) -> int:
    return row.seeds * (row.cost.jobs + (row.cost.merge is not None))


def _line(name: str, verb: str, jobs: str, flop: str, hours: str, disk: str, memory: str) -> str:
    return f"{name:<32.32} {verb:<20}{jobs:>5}{flop:>13}{hours:>10}{disk:>9}{memory:>10}".rstrip()


def _number(value: float) -> str:
    """Three digits, and a comma between thousands; nothing for nothing."""
    if not value:
        return ""
    if value < 0.001:
        return "<0.001"
    shown = float(f"{value:.3g}")
    return f"{shown:,.0f}" if shown >= 100 else f"{shown:.3g}"


def _bytes(value: int) -> str:
    if value < 5e5:
        return "<1 MB" if value else ""
    for unit, size in (("TB", 1e12), ("GB", 1e9)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e6:.0f} MB"


def _span(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes"
