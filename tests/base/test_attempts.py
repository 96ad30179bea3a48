"""Work that is left off in time, killed, gone on with; one writer at a time; no attempts in vain for ever."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from oarpipe.base.files import sha256
from oarpipe.base.receipts import RECEIPT

ROOT = Path(__file__).parents[2]
MARK = ".writer.json"


class Child:
    """The toy stage in a process of its own, in a batch job unless `job` is None."""

    def __init__(self, out: Path, *words: object, job: str | None = "7") -> None:
        environment = {name: value for name, value in os.environ.items() if name != "SLURM_JOB_ID"}
        self._log = out.with_name(f"{out.name}.{uuid.uuid4().hex}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.base.toy", str(out), *map(str, words)],
                env=environment | ({"SLURM_JOB_ID": job} if job else {}),
                cwd=ROOT,
                stderr=log,
            )
        self.pid = self._process.pid

    def ended(self) -> tuple[int, str]:
        """Its exit status, and all it told."""
        status = self._process.wait(timeout=60)
        return status, self._log.read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def until(self, happened: Callable[[], object]) -> None:
        """Waits for something that must happen while it runs."""
        while not happened():
            assert self.runs(), self._log.read_text()
            time.sleep(0.005)

    def until_told(self, words: str) -> None:
        self.until(lambda: words in self._log.read_text())

    def runs(self) -> bool:
        return self._process.poll() is None


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def start(out: Path) -> Iterator[Callable[..., Child]]:
    """Starts a child on `out`; those that still run when the test is over are killed."""
    children: list[Child] = []

    def begin(*words: object, job: str | None = "7") -> Child:
        children.append(Child(out, *words, job=job))
        return children[-1]

    yield begin
    for child in children:
        child.send(signal.SIGKILL)
        child.ended()


def run(out: Path, *words: object, job: str | None = "7") -> tuple[int, str]:
    return Child(out, *words, job=job).ended()


def parts(out: Path) -> dict[Path, int]:
    """The parts that are there, with the time of their writing."""
    return {file: file.stat().st_mtime_ns for file in out.glob("state/*/part-??")}


def beats(out: Path, pid: int | None = None) -> int:
    """How often the writer, or this one, has given a sign."""
    try:
        facts = json.loads((out / MARK).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    return int(facts["beats"]) if pid in (None, facts["pid"]) else 0


def has_lived(out: Path, pid: int) -> bool:
    """Whether a child with a limit of a second has had it."""
    return beats(out, pid) >= 20


def writers(out: Path) -> set[str]:
    """Who wrote the parts of finished work."""
    return set((out / "writers.txt").read_text().split())


ELSEWHERE = pytest.mark.parametrize(
    "place", [[], ["--elsewhere", "--beat", 0.2]], ids=["on this machine", "on another"]
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the receipt of work that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(out, "--seconds", 0)[0] == 0
    assert not list(out.glob(".writer*"))
    return sha256(out / RECEIPT)


def test_a_stage_leaves_off_before_its_limit_as_often_as_needed(out: Path, undisturbed: str) -> None:
    tries: list[int] = []
    while not tries or tries[-1] == 75:
        before = parts(out)
        status, told = run(out, "--runtime", 1.5 / 60, "--seconds", 0.25)
        tries.append(status)
        if status == 75:
            assert "left off, because its time is nearly up" in told
            assert before.items() < parts(out).items()
    assert len(tries) > 2
    assert tries[-1] == 0
    assert sha256(out / RECEIPT) == undisturbed


def test_outside_of_a_batch_job_a_limit_means_nothing(out: Path) -> None:
    assert run(out, "--runtime", 0.2 / 60, "--parts", 5, job=None)[0] == 0


def test_sigterm_keeps_the_parts_that_are_finished(
    out: Path, undisturbed: str, start: Callable[..., Child]
) -> None:
    child = start("--seconds", 0.2)
    child.until(lambda: len(parts(out)) >= 2)
    child.send(signal.SIGTERM)
    status, told = child.ended()
    assert (status, "asked to stop (signal 15)" in told) == (75, True)
    before = parts(out)
    assert 2 <= len(before) < 10
    assert not (out / MARK).exists()
    again = start("--seconds", 0, "--gate", out / "gate")
    again.until(lambda: beats(out) > 0)
    assert parts(out).items() >= before.items()
    (out / "gate").touch()
    assert again.ended()[0] == 0
    assert sha256(out / RECEIPT) == undisturbed


@ELSEWHERE
def test_the_mark_of_a_killed_writer_does_not_stop_the_next(
    out: Path, undisturbed: str, place: list[object], start: Callable[..., Child]
) -> None:
    child = start("--seconds", 0.2, *place)
    child.until(lambda: len(parts(out)) >= 2)
    child.send(signal.SIGKILL)
    child.ended()
    assert (out / MARK).exists()
    assert run(out, "--seconds", 0, *place)[0] == 0
    assert sha256(out / RECEIPT) == undisturbed
    assert not list(out.glob(".writer*"))


@ELSEWHERE
def test_a_second_writer_waits_for_the_first_and_finds_the_work_done(
    out: Path, undisturbed: str, place: list[object], start: Callable[..., Child]
) -> None:
    first = start("--seconds", 0, "--gate", out / "gate", *place)
    first.until(lambda: (out / MARK).exists())
    others = [start("--seconds", 0, *place, job="8") for _ in range(2)]
    for other in others:
        other.until_told(f"being written by process {first.pid} on")
        other.until_told("job 7, since")
    (out / "gate").touch()
    assert first.ended()[0] == 0
    for other in others:
        status, told = other.ended()
        assert (status, "is already complete" in told) == (0, True)
    assert sha256(out / RECEIPT) == undisturbed
    assert writers(out) == {str(first.pid)}


def test_of_several_that_come_where_one_died_only_one_writes(out: Path, start: Callable[..., Child]) -> None:
    dead = start("--gate", out / "gate")
    dead.until(lambda: (out / MARK).exists())
    dead.send(signal.SIGKILL)
    dead.ended()
    heirs = [start("--gate", out / "gate") for _ in range(4)]
    for heir in heirs:
        heir.until(lambda: beats(out) > 2)
    (out / "gate").touch()
    assert [heir.ended()[0] for heir in heirs] == [0, 0, 0, 0]
    assert len(writers(out)) == 1


def test_shards_do_not_wait_for_one_another_but_each_for_itself(
    out: Path, start: Callable[..., Child]
) -> None:
    first = start("--shard", "1-of-2", "--gate", out / "gate")
    first.until(lambda: (out / ".writer.1-of-2.json").exists())
    assert run(out, "--shard", "2-of-2", "--seconds", 0)[0] == 0
    assert first.runs()
    again = start("--shard", "1-of-2", "--seconds", 0)
    again.until_told(f"being written by process {first.pid} on")
    (out / "gate").touch()
    assert (again.ended()[0], first.ended()[0]) == (0, 0)
    assert sorted(file.name for file in (out / "shards").iterdir()) == ["1-of-2.json", "2-of-2.json"]


def test_who_was_taken_for_dead_leaves_off_when_he_finds_another(
    out: Path, start: Callable[..., Child]
) -> None:
    """A suspended process of another machine gives no sign; when it goes on, the work is another's."""
    first = start("--gate", out / "gate", "--elsewhere")
    first.until(lambda: beats(out) > 0)
    first.send(signal.SIGSTOP)
    second = start("--gate", out / "gate", "--elsewhere")
    second.until(lambda: beats(out, second.pid) > 0)
    first.send(signal.SIGCONT)
    first.until_told("another has taken this over")
    (out / "gate").touch()
    assert first.ended()[0] == 75
    assert second.ended()[0] == 0


def test_a_stage_that_gets_no_further_fails_at_once_and_says_how_to_go_on(
    out: Path, start: Callable[..., Child]
) -> None:
    """No part fits into the limit of a second, at which Slurm kills it: the second time is the last."""
    never = ("--runtime", 1 / 60, "--gate", out / "gate")
    for _ in range(2):
        child = start(*never)
        child.until(partial(has_lived, out, child.pid))
        child.send(signal.SIGKILL)
        child.ended()
    status, told = run(out, *never)
    file = next(out.glob("state/*/ended.json"))
    assert status == 2
    assert "two attempts in a row of 0.0166667 min got no further" in told
    assert "job 7 was ended at its limit" in told
    assert f"delete {file} to try again" in told
    assert run(out, "--seconds", 0)[0] == 2
    file.unlink()
    assert run(out, "--seconds", 0)[0] == 0


def test_what_breaks_down_twice_at_the_same_point_is_not_tried_again_in_a_batch_job(out: Path) -> None:
    assert [run(out, "--broken")[0] for _ in range(3)] == [1, 2, 2]
    assert [run(out.with_name("hand"), "--broken", job=None)[0] for _ in range(3)] == [1, 1, 1]


SNAKEFILE = """
rule toy:
    output: "out/receipt.json"
    shell: "{python} -m tests.base.toy out --seconds 0.2"
"""


def test_rerun_incomplete_throws_no_finished_work_away(out: Path, undisturbed: str) -> None:
    """Snakemake killed with its job, and then asked to make anew what is there."""
    root = out.parent
    (root / "Snakefile").write_text(SNAKEFILE.replace("{python}", sys.executable))
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--nolock",
        "--rerun-incomplete",
        "--quiet",
        "all",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, cwd=root, env=environment, start_new_session=True)
    while len(parts(out)) < 3:
        assert first.poll() is None
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = {file.name: file.read_text() for file in parts(out)}
    subprocess.run(command, cwd=root, env=environment, check=True)
    assert sha256(out / RECEIPT) == undisturbed
    written = (out / "writers.txt").read_text().split()
    assert written[: len(kept)] == [kept[name] for name in sorted(kept)]
    assert written[-1] != written[0]
    made = (out / "data.txt").stat().st_mtime_ns
    subprocess.run([*command, "--forceall"], cwd=root, env=environment, check=True)
    assert sha256(out / RECEIPT) == undisturbed
    assert (out / "data.txt").stat().st_mtime_ns == made
