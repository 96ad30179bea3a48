"""Says what a book will cost, from the book alone: arithmetic, GPU-hours, disk, memory, jobs."""

from collections.abc import Iterator, Sequence
from json import dumps
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Literal

from oarpipe.config.book import load_book
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.tools.forecast import Forecast, Row

GPUName = Literal["a100", "a100-40", "a6000", "b200", "gh200", "h100", "h200", "l40s", "rtx4090"]
MFU = 0.4  # share of the GPU's dense rate that is reached
# A share of an extraction runs for hours, against seconds of Snakemake's and Slurm's for a job; beyond some
# thousands of shares, these add up (docs/scale.md).
HOURS_A_SHARE = 2
MOST_SHARES = 10_000
_COLUMNS = 100
_DOMINATING = 0.02  # share of the hours from which an entry is named
_COUNTED = (
    "matrix products, convolutions and attention; disk before compression, without logs and checkpoints; "
    "memory without the allocator's own. A walk in a given order waits for memory and not for arithmetic, so "
    "it takes longer than its TFLOP say."
)


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
    from oarpipe.tools.forecast import Machines, forecast

    strangers = [word for word in words if "=" not in word]
    if strangers:
        raise BadInput(f"'{strangers[0]}': expected changes to the book, such as 'seeds=[0]'")
    if gpus is not None and gpus < 1:
        raise BadInput(f"--gpus {gpus}: expected at least one")
    if mfu is not None and not 0 < mfu <= 1:
        raise BadInput(f"--mfu {mfu}: expected a share of the GPU's rate, above 0 and up to 1")
    if images is not None and images < 1:
        raise BadInput(f"--images {images}: expected at least one")
    machines = Machines(gpu, gpus or 1, mfu or MFU)
    made = forecast(load_book([book], words), machines, images=images, size=size)
    print(dumps(made.facts(), indent=1) if json else "\n".join(page(made)))


def page(made: "Forecast") -> Iterator[str]:
    """A forecast for people."""
    book, machines, gpu = made.book, made.machines, made.machines.gpu
    seeds = f"{len(book.seeds)} seeds together" if len(book.seeds) > 1 else "one seed"
    yield (
        f"{book.name}, {seeds}, on {machines.gpus} x {machines.name} at {machines.mfu:.0%} of "
        f"{gpu.bfloat16:g} TFLOP/s (bfloat16) or {gpu.float32:g} (float32)"
    )
    yield ""
    yield _line("", "made by", "jobs", "TFLOP", "GPU-hours", "disk", "memory")
    for table in book.tables:
        rows = [row for row in made.rows if row.table == table]
        if rows:
            yield table
        for row in rows:
            yield _row(row, fits=_fits(row, made))
        if len(rows) > 1:
            yield _sum("  together", rows)
    yield _sum("all", made.rows)
    yield ""
    for label, text in _conclusions(made):
        lines = wrap(text, _COLUMNS - 10, break_on_hyphens=False)
        yield from (f"{'' if number else label:<10}{line}" for number, line in enumerate(lines))


def _row(row: "Row", *, fits: bool) -> str:
    cost = row.cost
    return _line(
        f"  {row.name}",
        cost.verb + (" bf16" if cost.bfloat16 > cost.float32 else ""),
        str(row.jobs),
        _number(row.tflop),
        _number(row.gpu_hours),
        _bytes(row.disk),
        "" if cost.memory is None else _bytes(cost.memory) + (" " if fits else "!"),
    )


def _sum(name: str, rows: Sequence["Row"]) -> str:
    return _line(
        name,
        "",
        str(sum(row.jobs for row in rows)),
        _number(sum(row.tflop for row in rows)),
        _number(sum(row.gpu_hours for row in rows)),
        _bytes(sum(row.disk for row in rows)),
        "",
    )


def _conclusions(made: "Forecast") -> Iterator[tuple[str, str]]:
    """What dominates, how long it takes at least, what does not fit, and what was assumed."""
    gpus, total = made.machines.gpus, made.gpu_hours
    largest = sorted((row for row in made.rows if row.gpu_hours), key=lambda row: -row.gpu_hours)
    named = [row for row in largest[:6] if row.gpu_hours >= _DOMINATING * total]
    shares = ", ".join(f"{row} {row.gpu_hours / total:.0%}" for row in named)
    yield "most:", shares or "nothing that a GPU would notice"
    chain = made.chain()
    alone, spread = sum(row.alone for row in chain), total / gpus
    steps = " -> ".join(str(row) for row in chain if row.alone and row.alone >= _DOMINATING * alone)
    yield (
        "time:",
        f"at least {_span(max(alone, spread))}: all work over {gpus} GPU{'s' * (gpus > 1)} takes "
        f"{_span(spread)}, the longest chain {_span(alone)}" + (f" ({steps})" if steps else ""),
    )
    for key in ("train.microbatch", "batch"):
        crowded = [row for row in made.rows if not _fits(row, made) and _batch_key(row) == key]
        if crowded:
            names = ", ".join(f"{row} {_bytes(row.cost.memory or 0)}" for row in crowded)
            yield "memory!", f"more than the GPU's {made.machines.gpu.memory:g} GB, lower `{key}`: {names}"
    extraction = max((row.gpu_hours / row.seeds for row in made.rows if row.table == "orders"), default=0)
    if gpus > 1 or extraction > HOURS_A_SHARE:
        jobs = min(max(gpus, ceil(extraction / HOURS_A_SHARE)), MOST_SHARES)
        yield (
            "jobs:",
            "counted is a job a GPU for extraction and generation; shares of an extraction that take "
            f"{_span(extraction / jobs)} or less are easier to place and to try again: "
            f"snakemake --set-scatter extract={jobs} generate={gpus}",
        )
    yield "counted:", _COUNTED
    yield from (("assumed:", sentence) for sentence in made.assumed)


def _fits(row: "Row", made: "Forecast") -> bool:
    return (row.cost.memory or 0) <= made.machines.gpu.memory * 1e9


def _batch_key(row: "Row") -> str:
    """The option by which an entry's memory goes down."""
    return "train.microbatch" if row.table in ("models", "tokenizers") else "batch"


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
    return f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
