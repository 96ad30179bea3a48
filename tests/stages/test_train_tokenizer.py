import json
from pathlib import Path
from typing import Any

import pytest
import torch

from oarpipe.base.files import read_json, sha256
from oarpipe.base.identity import Identity
from oarpipe.base.receipts import checked
from oarpipe.config.datasets import ClassifierConfig, DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import GateConfig, VQGANConfig
from oarpipe.errors import BadInput, GateFailed, IncompleteData
from oarpipe.metrics.measurements import Measurement, Network
from oarpipe.stages.index import index
from oarpipe.stages.train_features import train_features
from oarpipe.stages.train_tokenizer import _check_gate, train_tokenizer
from oarpipe.tokenizers import load_tokenizer
from oarpipe.training.checkpoints import Checkpoints

GATE = {"features": "digits", "min_psnr": 5.0, "min_usage": 0.1, "max_distance": 1e6}


def recipe(**changes: Any) -> Recipe[VQGANConfig]:
    content: dict[str, Any] = {
        "kind": "vqgan", "dataset": "digits", "width": 8, "code_dim": 4, "codebook": 12,
        "train": {"steps": 4, "batch": 8, "lr": 2e-3}, **changes,
    }  # fmt: skip
    return Recipe("tokenizers", "vq", 0, VQGANConfig.model_validate(content))


@pytest.fixture(scope="module")
def ingredients(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The digits at 8 pixels, and a feature network that has hardly learned them."""
    root = tmp_path_factory.mktemp("ingredients")
    digits, features = root / "datasets" / "digits", root / "features" / "digits"
    index(Recipe("datasets", "digits", 0, DigitsConfig(kind="digits", resolution=8)), out=digits)
    options = {
        "kind": "classifier",
        "dataset": "digits",
        "channels": 4,
        "dimensions": 4,
        "train": {"steps": 2},
    }
    classifier = ClassifierConfig.model_validate(options)
    train_features(Recipe("features", "digits", 0, classifier), dataset=digits, out=features)
    return digits, features


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every training that begins."""
    from oarpipe.stages import train_tokenizer as module

    begun: list[int] = []
    train = module._train

    def counted(*arguments: Any) -> Any:
        begun.append(1)
        return train(*arguments)

    monkeypatch.setattr(module, "_train", counted)
    return begun


def test_a_tokenizer_is_published_with_a_report_of_its_reconstructions(
    ingredients: tuple[Path, Path], tmp_path: Path
) -> None:
    train_tokenizer(recipe(gate=GATE), dataset=ingredients[0], features=ingredients[1], out=tmp_path)
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert set(receipt["files"]) == {"tokenizer.safetensors", "tokenizer.yaml"}
    report = json.loads((tmp_path / "reconstruction.json").read_text())
    assert set(report) == {"count", "psnr", "ssim", "usage", "perplexity", "rfd[digits]", "values"}
    assert report["count"] == 360
    assert report["rfd[digits]"] > 0
    tokenizer = load_tokenizer(tmp_path)
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    assert tokenizer.encode(images).shape == (1, 4)
    assert not (tmp_path / "state").exists()


def test_the_same_recipe_makes_the_same_bytes_and_another_seed_others(
    ingredients: tuple[Path, Path], tmp_path: Path
) -> None:
    same = recipe()
    for name, this in (("a", same), ("b", same), ("c", Recipe("tokenizers", "vq", 1, same.entry))):
        train_tokenizer(this, dataset=ingredients[0], out=tmp_path / name)
    a, b, c = ((tmp_path / name / "tokenizer.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_random_crops_change_the_training_and_are_the_same_again(
    ingredients: tuple[Path, Path], tmp_path: Path
) -> None:
    for name, changes in (("a", {"crop": "random"}), ("b", {"crop": "random"}), ("c", {})):
        train_tokenizer(recipe(**changes), dataset=ingredients[0], out=tmp_path / name)
    a, b, c = ((tmp_path / name / "tokenizer.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_the_distance_of_reconstructions_tells_what_it_is(
    ingredients: tuple[Path, Path], tmp_path: Path
) -> None:
    train_tokenizer(recipe(gate=GATE), dataset=ingredients[0], features=ingredients[1], out=tmp_path)
    report = read_json(tmp_path / "reconstruction.json")
    found = Measurement.read(report["values"]["fidelity"]["rfd[digits]"])
    assert (found.value, found.count) == (report["rfd[digits]"], 360)
    digits = checked(ingredients[0], "datasets")
    assert found.reference == Identity.of_split("digits", digits.digest, "test", 360)
    weights = sha256(ingredients[1] / "classifier.safetensors")
    assert found.network == Network("digits", "classifier", weights)


def test_a_failed_gate_says_what_came_and_what_to_change_and_leaves_no_receipt(
    ingredients: tuple[Path, Path], tmp_path: Path
) -> None:
    gate = {**GATE, "min_psnr": 60.0, "max_distance": 1e-9}
    with pytest.raises(GateFailed) as raised:
        train_tokenizer(recipe(gate=gate), dataset=ingredients[0], features=ingredients[1], out=tmp_path)
    message = str(raised.value)
    report = json.loads((tmp_path / "reconstruction.json").read_text())
    assert f"tokenizers.vq: psnr is {report['psnr']:.2f} dB, gate.min_psnr demands 60" in message
    assert "rfd[digits] is" in message
    assert "gate.max_distance allows 1e-09" in message
    assert "train.steps" in message
    assert not (tmp_path / "receipt.json").exists()


@pytest.mark.parametrize(
    ("demand", "sentence"),
    [
        ({"min_psnr": 30.5}, "psnr is 30.00 dB, gate.min_psnr demands 30.5"),
        ({"min_usage": 0.9}, "75.0% of the codes are used, gate.min_usage demands 90.0%"),
        ({"max_distance": 1.5}, "rfd[digits] is 2, gate.max_distance allows 1.5"),
    ],
)
def test_each_demand_of_a_gate_is_held_alone(demand: dict[str, float], sentence: str, tmp_path: Path) -> None:
    report = {"psnr": 30.0, "usage": 0.75, "rfd[digits]": 2.0}
    with pytest.raises(GateFailed) as raised:
        _check_gate(GateConfig(features="digits", **demand), report, "tokenizers.vq", tmp_path)
    assert sentence in str(raised.value)
    met = {"min_psnr": 30.0, "min_usage": 0.75, "max_distance": 2.0}
    _check_gate(GateConfig(features="digits", **met), report, "tokenizers.vq", tmp_path)


def test_a_changed_gate_judges_the_same_weights_again(
    ingredients: tuple[Path, Path], tmp_path: Path, trainings: list[int]
) -> None:
    where = {"dataset": ingredients[0], "features": ingredients[1], "out": tmp_path}
    with pytest.raises(GateFailed):
        train_tokenizer(recipe(gate={**GATE, "min_psnr": 60.0}), **where)
    train_tokenizer(recipe(gate=GATE), **where)  # after a failure
    train_tokenizer(recipe(gate={**GATE, "min_psnr": 6.0}), **where)  # after a success
    assert len(trainings) == 1
    train_tokenizer(recipe(gate=GATE, commitment=0.5), **where)
    assert len(trainings) == 2


def test_finished_work_is_not_done_again_and_damaged_work_is(
    ingredients: tuple[Path, Path], tmp_path: Path, trainings: list[int]
) -> None:
    train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path)
    whole = (tmp_path / "tokenizer.safetensors").read_bytes()
    (tmp_path / "receipt.json").unlink()
    train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path)
    assert (tmp_path / "receipt.json").exists()
    assert len(trainings) == 1
    (tmp_path / "tokenizer.safetensors").write_bytes(whole[:-8] + b"\0" * 8)
    train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path)
    assert len(trainings) == 2
    assert (tmp_path / "tokenizer.safetensors").read_bytes() == whole


def test_a_training_that_was_killed_continues_to_the_same_bytes(
    ingredients: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path / "whole")
    save = Checkpoints.save

    def kill_after_saving(self: Checkpoints, *arguments: Any) -> None:
        save(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda self: True)
        patch.setattr(Checkpoints, "save", kill_after_saving)
        with pytest.raises(KeyboardInterrupt):
            train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path / "killed")
    assert not (tmp_path / "killed" / "receipt.json").exists()
    train_tokenizer(recipe(), dataset=ingredients[0], out=tmp_path / "killed")
    a, b = ((tmp_path / name / "tokenizer.safetensors").read_bytes() for name in ("whole", "killed"))
    assert a == b


def test_what_cannot_be_trained_is_refused_before_training(
    ingredients: tuple[Path, Path], tmp_path: Path, trainings: list[int]
) -> None:
    where = {"dataset": ingredients[0], "out": tmp_path}
    with pytest.raises(BadInput, match=r"tokenizers\.vq has a gate: .*--features"):
        train_tokenizer(recipe(gate=GATE), **where)
    with pytest.raises(BadInput, match=r"8 pixels: expected a multiple of 3"):
        train_tokenizer(recipe(factor=3), **where)
    with pytest.raises(BadInput, match=r"adversarial\.layers: needs images of 12 pixels or more"):
        train_tokenizer(recipe(adversarial={"layers": 2}), **where)
    with pytest.raises(BadInput, match=r"perceptual: needs images of 16 pixels or more"):
        train_tokenizer(recipe(perceptual=1.0, perceptual_weights=["vgg16.pth"]), **where)
    with pytest.raises(IncompleteData, match=r"no receipt\.json"):
        train_tokenizer(recipe(), dataset=tmp_path / "nowhere", out=tmp_path)
    assert list(tmp_path.glob("*.safetensors")) == []
