import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from oarpipe.base.stopping import STOPPED
from oarpipe.config.tokenizers import VQGANConfig
from oarpipe.errors import OarpipeError
from oarpipe.tokenizers.perceptual import PerceptualDistance
from oarpipe.tokenizers.vqgan import VQGAN
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.gan_loop import GanRun, fit_gan
from oarpipe.training.image_batches import ImageBatches

PLAIN: dict[str, Any] = {
    "kind": "vqgan", "dataset": "toy", "width": 8, "code_dim": 4, "codebook": 12, "revive_after": 2,
}  # fmt: skip
GAN = {**PLAIN, "adversarial": {"start": 2, "channels": 4, "layers": 1, "feature_matching": 0.5, "lr": 1e-3}}


def pictures() -> np.ndarray:
    """24 images of 16 pixels: soft spots here and there."""
    at = np.random.default_rng(0).uniform(3, 13, (24, 2))
    grid = np.arange(16)
    spots = np.exp(-((grid[:, None] - at[:, :1, None]) ** 2 + (grid - at[:, 1:, None]) ** 2) / 8)
    return np.repeat((255 * spots).astype(np.uint8)[..., None], 3, axis=3)


def toy(folder: Path, options: dict[str, Any] = PLAIN, *, steps: int = 6, **train: Any) -> GanRun:
    content = {**options, "train": {"steps": steps, "batch": 8, "lr": 2e-3, "log_every": 1, **train}}
    config = VQGANConfig.model_validate(content)
    torch.manual_seed(0)
    images = pictures()
    folder.mkdir(parents=True, exist_ok=True)
    return GanRun(
        name="toy",
        model=VQGAN(config.anatomy()),
        batches=ImageBatches(images.__getitem__, np.arange(24), batch=8, seed=0),
        config=config,
        seed=0,
        metrics=folder / "metrics.jsonl",
        checkpoints=folder / "state",
    )


def lines(run: GanRun) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def weights(model: VQGAN) -> dict[str, torch.Tensor]:
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in a)


def test_the_loss_falls_and_codes_spread_over_the_images(tmp_path: Path) -> None:
    run = toy(tmp_path, {**PLAIN, "revive_after": 20}, steps=40)
    fit_gan(run)
    told = lines(run)
    assert told[-1]["pixel"] < 0.5 * told[0]["pixel"]
    assert told[-1]["usage"] > 0.5
    assert 1 < told[-1]["perplexity"] <= 12
    assert {"loss", "pixel", "codebook", "commitment", "lr", "norm", "revived", "images_per_second"} <= told[
        -1
    ].keys()


VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": (PLAIN, {}),
    "with a critic, an average and microbatches": (GAN, {"ema": 0.9, "microbatch": 4}),
    "adaptive, flipped, in bfloat16": (
        {**PLAIN, "flip": True, "adversarial": {"adaptive": True, "channels": 4, "layers": 1}},
        {"precision": "bfloat16"},
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_that_was_killed_ends_bit_identical_to_one_that_was_not(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, train = VARIANTS[name]
    whole = toy(tmp_path / "whole", options, **train)
    expected = weights(fit_gan(whole))

    class Killed(BaseException):
        """What a kill is to a process: nothing after it happens."""

    def kill_after_saving(self: Checkpoints, step: int, *arguments: Any) -> None:
        save(self, step, *arguments)
        if step == 3:
            raise Killed

    save = Checkpoints.save
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda self: True)
        patch.setattr(Checkpoints, "save", kill_after_saving)
        with pytest.raises(Killed):
            fit_gan(toy(tmp_path / "killed", options, **train))
    again = toy(tmp_path / "killed", options, **train)
    assert same(expected, weights(fit_gan(again)))
    untimed = [
        [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines(run)]
        for run in (whole, again)
    ]
    assert untimed[0] == untimed[1]


def test_microbatches_change_nothing_but_rounding(tmp_path: Path) -> None:
    whole, parts = toy(tmp_path / "a", steps=3), toy(tmp_path / "b", steps=3, microbatch=3)
    fit_gan(whole)
    fit_gan(parts)
    for a, b in zip(lines(whole), lines(parts), strict=True):
        for key in ("loss", "pixel", "commitment", "norm"):
            assert b[key] == pytest.approx(a[key], rel=1e-3), (key, a["step"])


def test_the_critic_counts_from_its_start_on(tmp_path: Path) -> None:
    run = toy(tmp_path / "gan", GAN)
    fit_gan(run)
    told = lines(run)
    assert ["critic" in line for line in told] == [False, False, True, True, True, True]
    assert {"generator", "feature_matching", "adversarial_weight"} <= told[2].keys()
    plain = toy(tmp_path / "plain")
    fit_gan(plain)
    assert [line["loss"] for line in lines(plain)][:2] == [line["loss"] for line in told][:2]
    assert lines(plain)[3]["loss"] != told[3]["loss"]


def test_a_perceptual_loss_is_added_with_its_weight(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = PerceptualDistance().eval()
    options = {**PLAIN, "perceptual": 2.0, "perceptual_weights": ["somewhere"]}
    run = toy(tmp_path, options, steps=1)
    run = GanRun(**{**vars(run), "perceptual": network})
    fit_gan(run)
    (line,) = lines(run)
    expected = line["pixel"] + 2.0 * line["perceptual"] + line["codebook"] + 0.25 * line["commitment"]
    assert line["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    run = toy(tmp_path)
    original, count = run.model.forward, 0

    def spoiled(images: torch.Tensor) -> Any:
        nonlocal count
        count += 1
        reconstructions, encodings, quantised = original(images)
        return reconstructions * (float("nan") if count == 3 else 1.0), encodings, quantised

    run.model.forward = spoiled  # type: ignore[method-assign,assignment]
    with pytest.raises(OarpipeError, match=r"toy: loss is nan at step 2; lower train\.lr"):
        fit_gan(run)


def test_sigterm_saves_and_asks_to_be_started_again(tmp_path: Path) -> None:
    def stop(model: VQGAN) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return 20.0

    run = toy(tmp_path, validate_every=4)
    with pytest.raises(SystemExit) as raised:
        fit_gan(GanRun(**{**vars(run), "validate": stop}))
    assert raised.value.code == STOPPED
    assert [file.name for file in run.checkpoints.iterdir()] == ["step-000000004.safetensors"]
    assert {"step": 3, "validation_psnr": 20.0}.items() <= lines(run)[-1].items()


def test_the_average_lags_behind_the_weights(tmp_path: Path) -> None:
    plain = fit_gan(toy(tmp_path / "plain")).state_dict()
    run = toy(tmp_path / "ema", ema=0.9)
    start = weights(run.model)
    kept = fit_gan(run).state_dict()
    key = "decoder.conv_out.weight"
    assert torch.equal(run.model.state_dict()[key], plain[key])
    assert (kept[key] - start[key]).norm() < (plain[key] - start[key]).norm()
