"""Results come in order, ahead of the caller but within the bound, and an error in its turn."""

import threading
import time
from collections.abc import Iterator

import pytest

from oarpipe.data.parallel import in_parallel, num_threads


def test_results_come_in_order_whatever_takes_longest() -> None:
    def work(i: int) -> int:
        time.sleep(0.002 * (5 - i % 5))
        return i * i

    assert list(in_parallel(work, range(40), ahead=7)) == [i * i for i in range(40)]


def test_work_goes_on_while_the_caller_is_busy_but_only_so_far() -> None:
    begun: list[int] = []
    enough = threading.Event()

    def work(i: int) -> int:
        begun.append(i)
        if len(begun) == 5:
            enough.set()
        return i

    results = in_parallel(work, range(1000), ahead=4)
    assert next(results) == 0
    assert enough.wait(10)  # the caller does nothing now, and four more are done
    time.sleep(0.05)
    assert sorted(begun) == [0, 1, 2, 3, 4]
    results.close()  # type: ignore[attr-defined]


def test_an_error_is_raised_in_its_turn_and_ends_it() -> None:
    def work(i: int) -> int:
        if i == 3:
            raise OSError("three")
        return i

    results, seen = in_parallel(work, range(100), ahead=10), []
    with pytest.raises(OSError, match="three"):
        seen.extend(results)
    assert seen == [0, 1, 2]


def test_a_caller_that_stops_leaves_no_thread_behind() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    before = threading.active_count()
    results = in_parallel(lambda i: i, endless(), ahead=3)
    assert next(results) == 1
    del results
    assert threading.active_count() == before


@pytest.mark.parametrize(("granted", "threads"), [("3", 3), ("1", 1)])
def test_as_many_threads_as_were_granted(granted: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", granted)
    assert num_threads() == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    assert 1 <= num_threads() <= 8
