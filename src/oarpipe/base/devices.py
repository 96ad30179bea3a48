"""Which device, how precise, how fast: facts about the machine that a run needs.

How many threads is OMP_NUM_THREADS' to say, which Snakemake sets to a rule's `threads`.
"""

import ctypes
import os
import platform
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path

import torch

from oarpipe.base.distributed import world


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is a GPU when there is one, else the CPU. Of several processes each has its own GPU."""
    if name != "auto":
        return torch.device(name)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", world().local_rank) if world().size > 1 else torch.device("cuda")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bfloat16 autocast where the recipe asks for it."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def sent(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """The tensor on `device`; nobody waits for the copy to arrive."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def keep_freed_memory() -> None:
    """Lets this process keep what it frees, where the C library is glibc.

    Tensors of many megabytes are otherwise given back, and every page of the next one is a fault that
    the kernel serves by zeroing it.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, 2**30)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still take: what the GPU has free; on a CPU, its threads' share of it.

    On a CPU as many jobs as there are cores may run side by side, and a cgroup (Slurm, a container)
    may hold less than the machine.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    share = min(torch.get_num_threads() / (os.cpu_count() or 1), 1.0)
    return int(share * min(_available(), *_left_in_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))))


def _available() -> int:
    """What the system could give; half of what it has, where it does not tell."""
    told = Path("/proc/meminfo")
    if told.is_file():
        line = next(line for line in told.read_text().splitlines() if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _left_in_groups(membership: Path, root: Path) -> Iterator[float]:
    """What each control group around this process, of either version, has left; infinite at the end."""
    yield float("inf")
    for line in membership.read_text().splitlines() if membership.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top = root / controllers
        limit, used = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else _VERSION_2
        group = top / path.lstrip("/")
        for folder in [group, *group.parents]:
            bound = (folder / limit).read_text().strip() if (folder / limit).is_file() else "max"
            if bound != "max":
                yield max(int(bound) - int((folder / used).read_text()), 0)
            if folder == top:
                break


_VERSION_2 = ("memory.max", "memory.current")


@cache
def gemm_rate(device: torch.device, dtype: torch.dtype = torch.float32, size: int = 1024) -> float:
    """Measured matrix-multiply rate of this device, FLOP/s: the best of five products."""
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best
