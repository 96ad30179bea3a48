"""Work done ahead by threads, in order and within a bound: images are decoded while a model computes."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 256  # results that may wait to be taken


def num_threads() -> int:
    """As many as were granted (OMP_NUM_THREADS, which Snakemake sets), or up to eight."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    return int(granted) if granted.isdigit() and int(granted) > 0 else min(8, os.cpu_count() or 1)


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], *, ahead: int = AHEAD, threads: int | None = None
) -> Generator[R, None, None]:
    """The results in order, at most `ahead` of them before they are asked for; `num_threads()` work.

    Threads, because Pillow decodes and resizes without Python's lock. The first error is raised in
    its turn, and nothing goes on after it or after the iterator is dropped.
    """
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads or num_threads())
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
