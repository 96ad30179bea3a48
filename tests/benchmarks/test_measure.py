"""Things are timed in turn and told beside the larger of two floors."""

import pytest

from oarpipe.benchmarks.machine import Machine, look_at
from oarpipe.benchmarks.measure import Patience, Task, in_turn
from tests.benchmarks.conftest import CPU


def telling(name: str, seconds: list[float], ran: list[str]) -> Task:
    """A task that writes down its turns, and tells one of these times at each."""
    times = iter(seconds)

    def run() -> float:
        ran.append(name)
        return next(times)

    return Task(name, run, count=4)


def test_tasks_take_turns_and_slow_ones_run_once(here: Machine) -> None:
    ran: list[str] = []
    tasks = [telling("a", [3.0, 1.0, 2.0], ran), telling("slow", [10.0], ran), telling("b", [5.0] * 3, ran)]
    rows = in_turn(tasks, here, Patience(rounds=3, seconds=10.0))["rows"]
    assert ran == ["a", "slow", "b", "a", "b", "a", "b"]
    assert [(row["seconds"], row["fastest"], row["slowest"], row["runs"]) for row in rows] == [
        (2.0, 1.0, 3.0, 3),
        (10.0, 10.0, 10.0, 1),
        (5.0, 5.0, 5.0, 3),
    ]
    assert rows[0]["per_second"] == 2.0


def test_what_is_quick_warms_up_first(here: Machine) -> None:
    (row,) = in_turn([telling("a", [0.9, 0.1, 0.2], [])], here, Patience(2, 1.0))["rows"]
    assert (row["fastest"], row["slowest"]) == (0.1, 0.2)


@pytest.mark.parametrize(
    ("flop", "read", "bound", "floor"), [(500, 100, "arithmetic", 0.5), (100, 800, "memory", 0.8)]
)
def test_the_floor_is_the_arithmetic_or_the_reading_whichever_is_more(
    here: Machine, monkeypatch: pytest.MonkeyPatch, flop: int, read: int, bound: str, floor: float
) -> None:
    monkeypatch.setattr(Machine, "gemm", lambda self, precision, tries=3: 1000.0)
    task = Task("a", lambda: 2.0, count=1, flop=flop, bytes=read)
    (row,) = in_turn([task], here, Patience(1, 1.0))["rows"]
    assert (row["bound"], row["floor"], row["over_floor"]) == (bound, floor, 2.0 / floor)
    assert row["share"] == flop / 1000 / 2


def test_a_machine_tells_its_rates() -> None:
    facts = look_at(CPU).facts
    assert facts["device"] == "cpu"
    assert all(rate > 0 for rate in facts["gemm_gflops"].values())
    assert set(facts["few_rows_gflops"]) == {"float32", "bfloat16"}
    assert facts["read_gb_per_second"] > 0
