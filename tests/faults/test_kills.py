"""`oarpipe train` killed with SIGKILL at random moments, again and again, until it is through."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from oarpipe.base.files import remove, sha256
from tests import children
from tests.faults.line import digest
from tests.stages.ingredients import SQUARE, model_recipe, tokens, words

# Some seconds of steps, and a checkpoint every few steps, so that many kills hit one.
RECIPE = model_recipe(steps=150, log_every=1, checkpoint_minutes=0.02 / 60)


class Process(Protocol):
    """A command that runs."""

    pid: int | None

    def ended(self) -> int | None: ...


class Warm:
    """Forked from a server that has everything imported."""

    def __init__(self, command: list[str]) -> None:
        self._child = children.start(command)
        self.pid = self._child.pid

    def ended(self) -> int | None:
        self._child.join(timeout=0)
        return self._child.exitcode


class Cold:
    """As a shell would start it."""

    def __init__(self, command: list[str]) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._child = subprocess.Popen([sys.executable, "-m", "oarpipe", *command], env=environment)
        self.pid = self._child.pid

    def ended(self) -> int | None:
        return self._child.poll()


def killed(process: Process, seconds: float, begun: Callable[[], bool]) -> bool:
    """Kills it so long after its work began; False if it had finished before."""
    while not begun() and process.ended() is None:
        time.sleep(0.005)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.ended() is None:
        time.sleep(0.002)
    if process.ended() is not None:
        assert process.ended() == 0
        return False
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    return finished(process) == -signal.SIGKILL


def finished(process: Process) -> int:
    while (status := process.ended()) is None:
        time.sleep(0.005)
    return status


def last_checkpoint(out: Path) -> str:
    return max((file.name for file in out.glob("state/*/step-*.safetensors")), default="")


@pytest.mark.parametrize(
    ("start", "kills"), [(Warm, 4), pytest.param(Cold, 20, marks=pytest.mark.faults)], ids=["four", "twenty"]
)
def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_been(
    start: Callable[[list[str]], Process], kills: int, tmp_path: Path
) -> None:
    store = tokens(tmp_path / "tokens", grid=SQUARE)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    begin = time.monotonic()
    assert finished(start(words("train", RECIPE, tokens=store, out=undisturbed))) == 0
    seconds = time.monotonic() - begin
    command = words("train", RECIPE, tokens=store, out=out)
    seed = random.randrange(10**6)
    print(f"moments drawn with seed {seed}, up to {seconds:.2f} s")
    moments = random.Random(seed)
    done = trainings = 0
    while done < kills or not (out / "receipt.json").exists():
        before = last_checkpoint(out)
        wait = moments.uniform(0, seconds / 3) if done < kills else float("inf")
        if killed(start(command), wait, (out / ".writer.json").exists):
            done += 1
            assert last_checkpoint(out) >= before
            continue
        trainings += 1
        assert sha256(out / "model.safetensors") == sha256(undisturbed / "model.safetensors")
        assert digest(out) == digest(undisturbed)
        assert not list(out.glob("**/*.partial")) + list(out.glob(".writer*")) + list(out.glob("state"))
        if done < kills:
            remove(out)
    print(f"{done} kills in {trainings} trainings")
