"""Stages that two processes carry out together, started by a rule or torchrun, whatever interrupts them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from safetensors.torch import load_file

from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import checked, read_receipt
from oarpipe.cli import main
from oarpipe.stages.train import train
from oarpipe.training import loop
from tests.stages.ingredients import model_recipe, tokens, words

RECIPE = model_recipe(steps=60, ema=0.9, validate_every=20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokens(tmp_path_factory.mktemp("line") / "tokens", views=2)


@pytest.fixture
def alone(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What one process makes."""
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)
    train(RECIPE, tokens=store, out=tmp_path / "alone")
    return tmp_path / "alone"


def start(command: list[str], *, by: tuple[str, ...] = ("-m", "oarpipe")) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    return subprocess.Popen(
        [sys.executable, *by, *command], env=environment, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: object, process: "subprocess.Popen[str]") -> None:
    while not condition() and process.poll() is None:  # type: ignore[operator]
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]


def check_same(alone: Path, out: Path) -> None:
    """The same work by the same words, and weights that differ by roundings."""
    checked(out, "models")
    assert read_receipt(out).fingerprint == read_receipt(alone).fingerprint
    weights, others = (load_file(folder / "model.safetensors") for folder in (alone, out))
    assert weights.keys() == others.keys()
    assert all((weights[key] - others[key]).abs().max() < 1e-4 for key in weights)
    told, other_told = (
        [line for line in read_metrics(folder / "metrics.jsonl") if "loss" in line] for folder in (alone, out)
    )
    assert [line["step"] for line in other_told] == list(range(60))
    assert [line["loss"] for line in other_told] == pytest.approx([line["loss"] for line in told], rel=1e-4)


def test_two_processes_are_asked_to_stop_and_one_ends_what_they_began(
    store: Path, alone: Path, tmp_path: Path
) -> None:
    out, log = tmp_path / "any", tmp_path / "any.log"
    command = words("train", RECIPE, tokens=store, out=out)
    both = start([*command, "--gpus", "2", "--log", str(log)])
    wait_for(lambda: (out / "metrics.jsonl").exists() and len(read_metrics(out / "metrics.jsonl")) > 3, both)
    both.send_signal(signal.SIGTERM)
    _, told = both.communicate()
    assert both.returncode == 75, told
    assert told.count("asked to stop (signal 15)") == told.count("left off, because it was asked to") == 1
    assert "left off" in log.read_text()
    assert len(list(out.glob("state/*/step-*.safetensors"))) == 1
    assert main(command) == 0
    check_same(alone, out)


def test_a_process_that_is_killed_ends_the_other_and_the_command_goes_on_when_run_again(
    store: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "any"
    recipe = model_recipe(steps=60, ema=0.9, validate_every=20, checkpoint_minutes=1e-6)
    command = words("train", recipe, tokens=store, out=out)
    both = start([*command, "--gpus", "2"])
    wait_for(lambda: list(out.glob("state/*/step-*.safetensors")), both)
    second = next(
        child for child in psutil.Process(both.pid).children() if child.environ().get("RANK") == "1"
    )
    second.kill()
    _, told = both.communicate()
    assert both.returncode == 128 + signal.SIGKILL, told
    assert "process 2 of 2 was ended by signal 9" in told
    assert "Traceback" not in told
    again = start([*command, "--gpus", "2"])
    _, told = again.communicate()
    assert (again.returncode, "resuming at step" in told) == (0, True), told
    assert [line["step"] for line in read_metrics(out / "metrics.jsonl") if "loss" in line] == list(range(60))


def test_torchrun_may_start_the_processes(store: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "any"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "oarpipe")
    both = start(words("train", RECIPE, tokens=store, out=out), by=torchrun)
    _, told = both.communicate()
    assert both.returncode == 0, told
    check_same(alone, out)


SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_NUM_NODES=2 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST=first,second
export SLURM_LAUNCH_NODE_IPADDR=127.0.0.1
SLURM_NODEID=1 "$@" & SLURM_NODEID=0 "$@"; first=$?; wait $!; second=$?
exit $((first > second ? first : second))
"""


def test_on_two_nodes_each_has_a_task_and_all_meet_at_the_first(
    store: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`srun` is stood in for by a script that starts its command twice, with Slurm's variables."""
    out, bin_folder = tmp_path / "any", tmp_path / "bin"
    bin_folder.mkdir()
    for name, text in {"srun": SRUN, "scontrol": "#!/bin/bash\necho nowhere.invalid\n"}.items():
        (bin_folder / name).write_text(text)
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", str(os.getpid()))
    both = start([*words("train", RECIPE, tokens=store, out=out), "--gpus", "2", "--nodes", "2"])
    _, told = both.communicate()
    assert both.returncode == 0, told
    check_same(alone, out)


def test_what_all_fail_of_is_told_in_one_line(store: Path, tmp_path: Path) -> None:
    both = start([*words("train", model_recipe(batch=1), tokens=store, out=tmp_path / "any"), "--gpus", "2"])
    _, told = both.communicate()
    assert both.returncode == 2
    assert told.count("has a part of 1 samples, too few for 2 processes") == 1
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--gpus", "3", "--nodes", "2"], "3 GPUs cannot be spread evenly over 2 nodes"),
        (["--gpus", "2", "--nodes", "2"], "2 nodes are reached from within a Slurm job only"),
    ],
)
def test_gpus_that_cannot_be_had_are_refused(
    store: Path,
    tmp_path: Path,
    flags: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert main([*words("train", RECIPE, tokens=store, out=tmp_path / "any"), *flags]) == 2
    assert complaint in capsys.readouterr().err


def test_work_for_one_process_is_refused_by_several(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(["doctor"]) == 2
    assert "`oarpipe doctor` is work for one process; these are 2" in capsys.readouterr().err
