"""What extraction adds to peak memory, for growing batches and growing grids, beside the closed form."""

import math
import multiprocessing
from pathlib import Path
from typing import Any, Literal

import torch

from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.subjects import size_of, subject, told
from oarpipe.benchmarks.walks import GREEDY
from oarpipe.config.benchmarks import BenchmarkConfig, SubjectConfig
from oarpipe.decoding.walks import extract_orders
from oarpipe.errors import BadInput
from oarpipe.models.memory import walk_bytes
from oarpipe.models.position_tokens import PositionTokens

_BATCHES = (8, 16, 64)
_BATCH = 16  # of the larger grids


def memory(config: BenchmarkConfig, machine: Machine) -> dict[str, Any]:
    """Peaks of exact extraction in MiB; on a CPU each in a process of its own."""
    small = config.small
    larger = [small.model_copy(update={"side": side}) for side in (3 * small.side // 2, 2 * small.side)]
    cases = [*((small, batch) for batch in _BATCHES), *((each, _BATCH) for each in larger)]
    rows = [_row(each, batch, machine.device) for each, batch in cases]
    peaks = {(row["positions"], row["batch"]): row["peak_mib"] for row in rows}
    start, large = peaks[small.side**2, _BATCH], peaks[larger[-1].side ** 2, _BATCH]
    return {
        "model": told(small),
        "cases": rows,
        "growth_per_doubled_batch": round(math.sqrt(peaks[small.side**2, _BATCHES[-1]] / start), 2),
        "exponent_in_positions": round(math.log(large / start, 4), 2),
    }


def _row(config: SubjectConfig, batch: int, device: torch.device) -> dict[str, Any]:
    kind: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
    positions = config.side**2
    without, whole = (
        walk_bytes(
            size_of(config), config.classes, samples=n, queries=positions, precision="float32", device=kind
        )
        for n in (0, batch)
    )
    return {
        "positions": positions,
        "batch": batch,
        "peak_mib": round(_peak(config, batch, device), 1),
        "predicted_mib": round((whole - without) / 2**20, 1),
    }


def _peak(config: SubjectConfig, batch: int, device: torch.device) -> float:
    if device.type == "cuda":
        return _peak_of(config, batch, device)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_of, (config, batch, device))


def _peak_of(config: SubjectConfig, batch: int, device: torch.device) -> float:
    """MiB that a walk adds to the most that was ever held, a first small walk's left out."""
    _extract(subject(config.model_copy(update={"side": 2}), device), 1)
    model = subject(config, device)
    before = _most_held(device)
    _extract(model, batch)
    return _most_held(device) - before


def _extract(model: PositionTokens, batch: int) -> None:
    device = model.rotary.device
    tokens = torch.zeros(batch, model.grid.positions, dtype=torch.int64, device=device)
    extract_orders(model, tokens, torch.zeros(batch, dtype=torch.int64, device=device), GREEDY)


def _most_held(device: torch.device) -> float:
    """MiB: a GPU's by torch's account, anew each time; a process's by the kernel's, over its whole life."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak / 2**20
    status = Path("/proc/self/status")
    if not status.is_file():
        raise BadInput(f"no {status}: the section `memory` needs Linux; leave it out of `sections`")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
