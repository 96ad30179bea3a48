"""Which device, how precise, how fast: facts about the machine that a run needs.

How many threads is OMP_NUM_THREADS' to say, which Snakemake sets to a rule's `threads`.
"""

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is a GPU when there is one, else the CPU."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """bfloat16 autocast where the recipe asks for it."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


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
