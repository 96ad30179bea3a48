"""The stage `train`, as a user runs it: killed, stopped, run again."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from oarpipe.base.files import sha256
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.errors import BadInput
from oarpipe.models import load_model
from oarpipe.stages.train import train
from oarpipe.training import loop
from tests import children
from tests.stages.ingredients import model_recipe, real_model, tokens, words

EVERYTHING: dict[str, Any] = {
    "order": {"kind": "anneal", "to": {"kind": "rule", "name": "spiral"}, "start_epoch": 2, "end_epoch": 30},
    "steps": 120,
    "ema": 0.9,
    "microbatch": 3,
    "validate_every": 7,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokens(tmp_path_factory.mktemp("line") / "tokens", views=2)


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the weights of one `oarpipe train` that nothing happened to, and that saved nothing."""
    out = tmp_path_factory.mktemp("whole") / "any"
    command = words("train", model_recipe(**EVERYTHING), tokens=store, out=out)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", "oarpipe", *command], env=environment, check=True)
    return sha256(out / "model.safetensors")


def newest(out: Path) -> str:
    return max((file.name for file in out.glob("state/*/step-*.safetensors")), default="")


def test_a_training_killed_at_random_moments_ends_with_the_same_weights(
    store: Path, undisturbed: str, tmp_path: Path
) -> None:
    dice, out, kills = random.Random(0), tmp_path / "any", 0
    recipe = model_recipe(**EVERYTHING, checkpoint_minutes=1e-6)
    while kills < 6:
        before = newest(out)
        child = children.start(words("train", recipe, tokens=store, out=out))
        while kills and newest(out) == before and child.exitcode is None:
            time.sleep(0.002)  # so that every attempt but the first gets further than the last
        time.sleep(dice.uniform(0, 0.05))
        child.kill()
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        assert not (out / "receipt.json").exists()
        kills += 1
    assert kills >= 3
    last = children.start(words("train", recipe, tokens=store, out=out))
    last.join()
    assert last.exitcode == 0
    assert sha256(out / "model.safetensors") == undisturbed
    checked(out, "models")
    told = read_metrics(out / "metrics.jsonl")
    assert [line["step"] for line in told if "loss" in line] == list(range(120))
    assert [line["step"] for line in told if "validation_nll" in line] == list(range(6, 120, 7))
    assert not (out / "state").exists()


def test_sigterm_saves_exits_75_and_the_same_command_continues(
    store: Path, undisturbed: str, tmp_path: Path
) -> None:
    out = tmp_path / "any"
    command = words("train", model_recipe(**EVERYTHING), tokens=store, out=out)
    child = children.start(command)
    while not (out / "metrics.jsonl").exists() or len(read_metrics(out / "metrics.jsonl")) < 5:
        assert child.exitcode is None
        time.sleep(0.002)
    child.terminate()
    child.join()
    assert child.exitcode == 75
    assert newest(out) > "step-000000004"
    again = children.start(command)
    again.join()
    assert again.exitcode == 0
    assert sha256(out / "model.safetensors") == undisturbed


@pytest.fixture
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


@pytest.mark.usefixtures("quick_clock")
def test_a_finished_model_is_not_trained_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(model_recipe(), tokens=store, out=tmp_path / "any")
    monkeypatch.setattr(loop, "fit", None)
    train(model_recipe(), tokens=store, out=tmp_path / "any")
    assert list(checked(tmp_path / "any", "models").files) == ["model.safetensors", "model.yaml"]


@pytest.mark.usefixtures("quick_clock")
def test_a_model_begins_with_the_weights_of_its_init(store: Path, tmp_path: Path) -> None:
    start = real_model(tmp_path / "start", store)
    recipe = model_recipe(init="start", lr=1e-30)
    train(recipe, tokens=store, init=start, out=tmp_path / "tuned")
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "tuned"))
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.usefixtures("quick_clock")
def test_only_the_training_split_is_learnt_from(store: Path, tmp_path: Path) -> None:
    """Ten rows of which two are held out: four batches of four are two epochs of eight."""
    train(model_recipe(steps=4, order=EVERYTHING["order"]), tokens=store, out=tmp_path / "any")
    shares = [line["random_share"] for line in read_metrics(tmp_path / "any" / "metrics.jsonl")]
    assert shares == [1, 1, 1, 1]
    later = model_recipe(steps=6, order={**EVERYTHING["order"], "end_epoch": 3})
    train(later, tokens=store, out=tmp_path / "later")
    shares = [line["random_share"] for line in read_metrics(tmp_path / "later" / "metrics.jsonl")]
    assert shares == [1, 1, 1, 1, 1, 0.5]


@pytest.mark.parametrize(("init", "given", "says"), [
    ("start", False, r"models\.any: starts from models\.start; name its folder with --init"),
    (None, True, r"models\.any: its recipe has no `init:`"),
])  # fmt: skip
def test_the_recipe_says_whether_a_model_starts_from_another(
    store: Path, tmp_path: Path, init: str | None, given: bool, says: str
) -> None:
    start = real_model(tmp_path / "start", store)
    with pytest.raises(BadInput, match=says):
        train(model_recipe(init=init), tokens=store, init=start if given else None, out=tmp_path / "any")
    assert not (tmp_path / "any").exists()


@pytest.mark.usefixtures("quick_clock")
def test_a_trained_model_opens_again_with_the_anatomy_of_its_recipe(store: Path, tmp_path: Path) -> None:
    assert main(words("train", model_recipe(), tokens=store, out=tmp_path / "any")) == 0
    network = load_model(tmp_path / "any")
    assert (len(network.layers), network.heads, network.width) == (1, 2, 16)
    assert (network.grid.height, network.grid.width, network.codebook, network.classes) == (2, 3, 64, 2)
