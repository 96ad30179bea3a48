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
from tests.faults.line import content, digest
from tests.stages.ingredients import SQUARE, model_recipe, tokens, words

# A checkpoint every few steps, so that many kills hit one.
RECIPE = model_recipe(steps=150, log_every=1, checkpoint_minutes=0.01 / 60)


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


def runs_for(process: Process, seconds: float, out: Path) -> bool:
    """Whether it still runs so long after it began to work."""
    while not has_begun(process, out) and process.ended() is None:
        time.sleep(0.005)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.ended() is None:
        time.sleep(0.002)
    return process.ended() is None


def has_begun(process: Process, out: Path) -> bool:
    """Whether it has made its mark; a killed one's may lie there before."""
    try:
        return f'"pid": {process.pid},' in (out / ".writer.json").read_text()
    except FileNotFoundError:
        return False


def kill(process: Process) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    while process.ended() is None:
        time.sleep(0.005)


def last_checkpoint(out: Path) -> str:
    return max((file.name for file in out.glob("state/*/step-*.safetensors")), default="")


@pytest.mark.parametrize(
    ("start", "kills"), [(Warm, 3), pytest.param(Cold, 20, marks=pytest.mark.faults)], ids=["three", "twenty"]
)
def test_a_training_killed_at_random_moments_ends_as_if_nothing_had_been(
    start: Callable[[list[str]], Process], kills: int, tmp_path: Path
) -> None:
    store = tokens(tmp_path / "tokens", grid=SQUARE)
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "killed"
    process = start(words("train", RECIPE, tokens=store, out=undisturbed))
    assert runs_for(process, 0, undisturbed)
    begin = time.monotonic()
    assert not runs_for(process, float("inf"), undisturbed)
    seconds = time.monotonic() - begin
    moments = random.Random()
    command = words("train", RECIPE, tokens=store, out=out)
    done = trainings = 0
    while done < kills or not (out / "receipt.json").exists():
        before, process = last_checkpoint(out), start(command)
        if runs_for(process, moments.uniform(0, seconds) if done < kills else float("inf"), out):
            kill(process)
            done += 1
            # Checkpoints go when the training is through, of which it may be killed a moment later.
            assert last_checkpoint(out) >= before or (out / "receipt.json").exists()
            continue
        trainings += 1
        assert process.ended() == 0
        assert sha256(out / "model.safetensors") == sha256(undisturbed / "model.safetensors")
        assert digest(out) == digest(undisturbed)
        assert content(out).keys() == content(undisturbed).keys()
        if done < kills:
            remove(out)
    print(f"{done} kills in {trainings} trainings")
