"""Differences and their intervals drawn as strips that a page sets by style alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from oarpipe.reports.intervals import Difference, Interval


@runtime_checkable
class Compared(Protocol):
    """A difference, or None where there is none, and what was measured."""

    @property
    def measure(self) -> str: ...

    @property
    def difference(self) -> Difference | None: ...


@dataclass(frozen=True)
class Strip:
    """Where a difference and its interval lie on a strip, in percent of its width; zero is the middle."""

    low: float
    high: float
    mean: float


class Strips:
    """One scale for all differences of a measure, so that strips compare by eye."""

    def __init__(self, comparisons: Iterable[Compared]) -> None:
        self._reach: dict[str, float] = {}
        for one in comparisons:
            if one.difference is not None:
                interval = one.difference.interval or Interval(one.difference.mean, one.difference.mean)
                reach = max(abs(interval.low), abs(interval.high), abs(one.difference.mean))
                self._reach[one.measure] = max(self._reach.get(one.measure, 0.0), reach)

    def of(self, one: Compared) -> Strip | None:
        """The strip of a comparison that was made."""
        if one.difference is None:
            return None
        reach = self._reach[one.measure] or 1.0
        interval = one.difference.interval or Interval(one.difference.mean, one.difference.mean)
        low, high, mean = (50 + 48 * v / reach for v in (interval.low, interval.high, one.difference.mean))
        return Strip(low, high, mean)
