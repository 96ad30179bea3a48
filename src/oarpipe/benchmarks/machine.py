"""What a device can do at best: its matrix products and its memory, measured where the work is measured."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from oarpipe.config.training import Precision

DTYPES: dict[Precision, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Sides of the square product that counts as the device's rate, and of the buffer that is copied and read.
_GEMM = {"cpu": 2048, "cuda": 8192}
_BUFFER = {"cpu": 2**28, "cuda": 2**31}
_WARM = 1.0  # seconds; what takes longer needs no warming up
_FEW_ROWS = (1, 2, 8, 32, 128, 512)


@dataclass(frozen=True)
class Machine:
    """A device, and what reading its memory reached in bytes a second."""

    device: torch.device
    read_bandwidth: float
    facts: dict[str, Any]

    def seconds(self, work: Callable[[], object]) -> float:
        """How long work takes, the device's queue emptied before and after."""
        self.wait()
        begin = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begin

    def wait(self) -> None:
        """Until everything asked of the device is done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def warm_ups(self, seconds: float) -> int:
        """How often work that took so long is repeated before it counts: a GPU first records and compiles."""
        return 2 if self.device.type == "cuda" else int(seconds < _WARM)

    def gemm(self, precision: Precision, tries: int = 2) -> float:
        """FLOP/s of a square product, the best of a few."""
        side = _GEMM[self.device.type]
        return _product(self, side, side, precision, tries)


def look_at(device: torch.device) -> Machine:
    """Measures a device: bandwidth, and products of few rows, as a walk's steps are."""
    bare = Machine(device, 0.0, {})
    buffer = torch.ones(_BUFFER[device.type] // 4, device=device)
    other = torch.empty_like(buffer)
    reading = min(bare.seconds(lambda: buffer.dot(buffer)) for _ in range(5))
    copying = min(bare.seconds(lambda: other.copy_(buffer)) for _ in range(5))
    size = buffer.numel() * buffer.element_size()
    few: dict[Precision, dict[str, float]] = {
        precision: {
            str(rows): round(median(_product(bare, rows, 1024, precision, 1) for _ in range(9)) / 1e9, 2)
            for rows in _FEW_ROWS
        }
        for precision in DTYPES
    }
    facts = {
        "name": _name(device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "gemm_side": _GEMM[device.type],
        "gemm_gflops": {precision: round(bare.gemm(precision, tries=5) / 1e9, 1) for precision in DTYPES},
        "few_rows_gflops": few,
        "read_gb_per_second": round(size / reading / 1e9, 2),
        "copy_gb_per_second": round(2 * size / copying / 1e9, 2),
    }
    return Machine(device, size / reading, facts)


def _product(machine: Machine, rows: int, side: int, precision: Precision, tries: int) -> float:
    """FLOP/s of `[rows, side] @ [side, side]`, the best of some tries after one that does not count."""
    dtype = DTYPES[precision]
    a = torch.randn(rows, side, device=machine.device).to(dtype)
    b = torch.randn(side, side, device=machine.device).to(dtype)
    times = [machine.seconds(lambda: a @ b) for _ in range(tries + 1)][1:]
    return 2 * rows * side**2 / min(times)


def _name(device: torch.device) -> str:
    """What the GPU is called, or the processor and how many cores this process may use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    told, name = Path("/proc/cpuinfo"), platform.processor() or platform.machine()
    if told.is_file():
        lines = (line for line in told.read_text().splitlines() if line.startswith("model name"))
        name = next(lines, f":{name}").partition(":")[2].strip()
    return f"{name}, {os.cpu_count()} cores"
