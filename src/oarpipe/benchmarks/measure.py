"""Timing in turn, beside a floor: what the arithmetic, or the bytes that must be read, ask for at least."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from oarpipe.base.log import log
from oarpipe.benchmarks.machine import Machine
from oarpipe.config.training import Precision


@dataclass(frozen=True)
class Task:
    """Something to time. `run` may return the seconds it found itself, where it timed a part of its work.

    `flop` and `bytes` are what it cannot do without, for all `count` things it makes together.
    """

    name: str
    run: Callable[[], float | None]
    count: int
    flop: int = 0
    bytes: int = 0
    precision: Precision = "float32"
    unit: str = "images"
    note: str = ""


@dataclass(frozen=True)
class Patience:
    """How often things are measured: `rounds` times, but once only where that takes `seconds` or more."""

    rounds: int
    seconds: float


def in_turn(tasks: Sequence[Task], machine: Machine, patience: Patience) -> dict[str, Any]:
    """A section: every task's median over the rounds, taken A B A B …, and the GEMM rates between them.

    A row's own rate is the median of those measured right before its runs, since machines drift.
    """
    times: list[list[float]] = [[] for _ in tasks]
    rates: list[list[float]] = [[] for _ in tasks]
    for turn in range(patience.rounds):
        for task, own, own_rates in zip(tasks, times, rates, strict=True):
            if turn and own[0] >= patience.seconds:
                continue
            own_rates.append(machine.gemm(task.precision))
            own.append(_seconds(task, machine))
            if turn == 0:
                log.info("benchmark: %s, %d %s, %s", task.name, task.count, task.unit, task.precision)
                for _ in range(machine.warm_ups(own[0])):
                    own[0] = _seconds(task, machine)
    by_precision: dict[Precision, list[float]] = {}
    for task, own_rates in zip(tasks, rates, strict=True):
        by_precision.setdefault(task.precision, []).extend(own_rates)
    return {
        "gemm_gflops": {precision: round(median(r) / 1e9, 1) for precision, r in by_precision.items()},
        "rows": [
            _row(task, own, median(own_rates), machine)
            for task, own, own_rates in zip(tasks, times, rates, strict=True)
        ],
    }


def _seconds(task: Task, machine: Machine) -> float:
    told: list[float | None] = []
    around = machine.seconds(lambda: told.append(task.run()))
    return around if told[0] is None else told[0]


def _row(task: Task, times: list[float], gemm: float, machine: Machine) -> dict[str, Any]:
    """One line of a table. `share` is that of the GEMM rate, `over_floor` how often the floor was taken."""
    seconds = median(times)
    row: dict[str, Any] = {
        "name": task.name,
        "precision": task.precision,
        "unit": task.unit,
        "count": task.count,
        "seconds": seconds,
        "fastest": min(times),
        "slowest": max(times),
        "runs": len(times),
        "per_second": task.count / seconds,
        "gemm_gflops": round(gemm / 1e9, 2),
        "note": task.note,
    }
    if task.flop or task.bytes:
        arithmetic, reading = task.flop / gemm, task.bytes / machine.read_bandwidth
        row |= {
            "flop": task.flop,
            "bytes": task.bytes,
            "floor": max(arithmetic, reading),
            "bound": "arithmetic" if arithmetic >= reading else "memory",
            "over_floor": seconds / max(arithmetic, reading),
            "share": arithmetic / seconds,
        }
    return row
