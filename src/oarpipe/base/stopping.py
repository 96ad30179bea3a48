"""When to leave off: at SIGTERM, or before a batch job's time is up; then work is saved and the status is 75.

Loops ask between two steps or parts. Running the same command again continues where they left off.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

from oarpipe.base.distributed import any_of
from oarpipe.base.log import log

T = TypeVar("T")

STOPPED = 75  # exit status of a run that saved its state and wants to be started again (EX_TEMPFAIL)
# Kept free at the end of a job's time, besides what the longest step takes: seconds, or a share of it.
SPARE_SECONDS, SPARE_SHARE = 60.0, 0.1
SAFETY = 1.5  # the next step may take so many times as long as the longest so far
NEARLY = 0.8  # who ran for this share of its time, ran out of it

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")


def batch_job() -> str | None:
    """The number of the batch job that this process is part of, if it is."""
    return next((os.environ[name] for name in JOB_VARIABLES if os.environ.get(name)), None)


class _Limit:
    """The time that this process has; `seconds` is None where nothing ends it."""

    seconds: float | None = None
    begin = time.monotonic()


def time_limit() -> float | None:
    """The seconds that this process was given, if any."""
    return _Limit.seconds


def ran_out_of_time() -> bool:
    """Whether it has used them up, or nearly so."""
    return _Limit.seconds is not None and time.monotonic() - _Limit.begin >= NEARLY * _Limit.seconds


class Left(SystemExit):
    """The end of a process that saved its state, with status 75."""

    def __init__(self, why: str, *, out_of_time: bool) -> None:
        super().__init__(STOPPED)
        self.why = why
        self.out_of_time = out_of_time


class Stop:
    """Whether the work is to be left. It is asked once a step or part, and so learns how long they take."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._longest = 0.0
        self._last = time.monotonic()
        self._out_of_time = False

    @property
    def requested(self) -> bool:
        """True from a signal on, or from when another step might not end in time."""
        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        if _Limit.seconds is not None and not self._out_of_time:
            spare = min(SPARE_SECONDS, SPARE_SHARE * _Limit.seconds) + SAFETY * self._longest
            self._out_of_time = now + spare >= _Limit.begin + _Limit.seconds
        return self.signal is not None or self._out_of_time

    def leave(self) -> NoReturn:
        """Ends the process; to be called when everything is saved."""
        if self.signal is not None:
            why = f"it was asked to (signal {self.signal})"
        else:
            why = "its time is nearly up" if self._out_of_time else "another of its processes was asked to"
        raise _left(why, out_of_time=self._out_of_time or ran_out_of_time())


@contextmanager
def stop_requested() -> Iterator[Stop]:
    """Turns SIGTERM into a flag that a loop reads between steps, to save and leave."""
    stop = Stop()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        log.info("asked to stop (signal %d): saving after this step", number)

    with _on_sigterm(on_signal):
        yield stop


def until_stopped(items: Iterable[T], *, begins: Callable[[T], bool] = lambda item: True) -> Iterator[T]:
    """The items; leaves before one that `begins` a part, when everything before it is saved."""
    with stop_requested() as stop:
        for item in items:
            if begins(item) and stop.requested:
                stop.leave()
            yield item


def all_together(work: Callable[[], None]) -> None:
    """Does this process's part of the work and waits for the others; leaves if any of them left off."""
    left = None
    try:
        work()
    except Left as error:
        left = error
    is_left, is_late = any_of(left is not None, left is not None and left.out_of_time)
    if is_left:
        raise left or _left("another of its processes was asked to", out_of_time=is_late)


@contextmanager
def within(minutes: float | None) -> Iterator[None]:
    """For a whole command: it has so many minutes, and SIGTERM ends it with status 75 where no loop reads it.

    Only a batch job is ended at its limit, so elsewhere `minutes` means nothing.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise _left(f"it was asked to (signal {number})", out_of_time=ran_out_of_time())

    before = _Limit.seconds, _Limit.begin
    _Limit.seconds = 60 * minutes if minutes is not None and batch_job() else None
    _Limit.begin = time.monotonic()
    try:
        with _on_sigterm(on_signal):
            yield
    finally:
        _Limit.seconds, _Limit.begin = before


def _left(why: str, *, out_of_time: bool) -> Left:
    log.info("left off, because %s; the same command continues it", why)
    return Left(why, out_of_time=out_of_time)


@contextmanager
def _on_sigterm(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Installs a handler for a while; only the main thread has any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
