"""One process or two: the same loss curve and the same weights, and checkpoints that either can go on from.

Weights are float64, so that an agreement to nine digits leaves room for the order of a sum and for nothing
else. Losses are told in float32.
"""

import os
import signal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from oarpipe.base.distributed import world
from oarpipe.base.stopping import STOPPED
from oarpipe.errors import BadInput, OarpipeError
from oarpipe.training import loop
from oarpipe.training.loop import fit
from oarpipe.training.parallel import gathered
from tests.processes import together
from tests.training.toy import ANNEALED, NO_DROPOUT, lines, run

WEIGHTS, LOSSES = 1e-9, 1e-6

# Dropout is on in all but one: two processes drop what one would.
VARIANTS: dict[str, dict[str, Any]] = {
    "half a batch each": {},
    "three and four samples of a batch of seven": {"batch": 7},
    "annealed, averaged, a whole microbatch each": {
        "batch": 7, "microbatch": 4, "order": ANNEALED, "ema": 0.9,
    },
    "three microbatches, of which each has a part": {"batch": 10, "microbatch": 4, **NO_DROPOUT},
}  # fmt: skip
COPIES, SHARES = "each a copy", "each a share"
Trained = tuple[dict[str, torch.Tensor], list[dict[str, Any]]]


def trained(folder: Path, options: dict[str, Any], kind: str = COPIES) -> Trained:
    """The weights that come out, and what was told."""
    toy = run(folder, **options)
    toy.model.double()
    with mock.patch.multiple(loop, gemm_rate=lambda *_: 1e11, must_be_shared=lambda *_: kind == SHARES):
        kept = gathered(fit(toy).state_dict())
    return {key: tensor.clone() for key, tensor in kept.items()}, lines(toy)


def stopped(folder: Path, options: dict[str, Any], kind: str = COPIES) -> tuple[int, list[str]]:
    """A run whose last process is asked to stop in its third step: exit status, and what is saved."""

    def asked(model: object) -> float:
        if world().rank == world().size - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return 0.0

    toy = run(folder, **options, validate_every=3, validate=asked)
    toy.model.double()
    with (
        mock.patch.multiple(loop, gemm_rate=lambda *_: 1e11, must_be_shared=lambda *_: kind == SHARES),
        pytest.raises(SystemExit) as left,
    ):
        fit(toy)
    assert isinstance(left.value.code, int)
    return left.value.code, [file.name for file in toy.checkpoints.iterdir()]


def check_same(one: Trained, other: Trained) -> None:
    """Weights and told lines agree; validations are left out."""
    (weights, told), (others, other_told) = one, other
    assert weights.keys() == others.keys()
    for key, tensor in weights.items():
        assert (tensor - others[key]).abs().max() < WEIGHTS, key
    curves = [[line for line in each if "loss" in line] for each in (told, other_told)]
    assert len(curves[0]) == len(curves[1])
    for line, other_line in zip(*curves, strict=True):
        assert other_line == pytest.approx(line, rel=LOSSES)


@pytest.mark.parametrize("kind", [COPIES, SHARES])
@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_train_the_model_that_one_trains(tmp_path: Path, name: str, kind: str) -> None:
    one = trained(tmp_path / "one", VARIANTS[name])
    two, nothing = together(trained, tmp_path / "two", VARIANTS[name], kind)
    check_same(one, two)
    assert nothing[0] == {}  # the first one writes


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, COPIES), (1, SHARES), (COPIES, 1), (SHARES, 1), (SHARES, COPIES), (COPIES, SHARES)],
)
def test_what_any_number_of_processes_saved_any_other_continues(
    tmp_path: Path, before: int | str, after: int | str
) -> None:
    """Asked to stop, one of two makes both save after the same step and leave with the same status."""
    options = {"ema": 0.9, "order": ANNEALED}
    whole = trained(tmp_path / "whole", options)
    if before == 1:
        ends = [stopped(tmp_path / "cut", options)]
    else:
        ends = together(stopped, tmp_path / "cut", options, before)
    assert ends == [(STOPPED, ["step-000000003.safetensors"])] * len(ends)
    if after == 1:
        again = trained(tmp_path / "cut", options)
    else:
        again = together(trained, tmp_path / "cut", options, after)[0]
    check_same(whole, again)


def spoilt(folder: Path) -> str:
    """What a run says whose last process computes nonsense in its third step."""
    toy = run(folder)
    steps = []

    def spoil(_: object, __: object, logits: torch.Tensor) -> torch.Tensor:
        steps.append(None)
        return logits * (torch.nan if len(steps) == 3 and world().rank else 1.0)

    toy.model.register_forward_hook(spoil)
    with mock.patch.object(loop, "gemm_rate", return_value=1e11), pytest.raises(OarpipeError) as told:
        fit(toy)
    return str(told.value)


def test_a_loss_that_is_not_finite_in_one_process_stops_all(tmp_path: Path) -> None:
    assert (
        together(spoilt, tmp_path)
        == ["models/toy: the loss is nan at step 2; lower train.lr, or train.clip"] * 2
    )


def refused(folder: Path, batch: int) -> str:
    with pytest.raises(BadInput) as told:
        trained(folder, {"batch": batch})
    return str(told.value)


def test_a_batch_that_is_too_small_to_be_shared_is_refused(tmp_path: Path) -> None:
    said = together(refused, tmp_path, 1)
    assert said[0] == said[1]
    assert "train.batch 1 in microbatches of 1 has a part of 1 samples, too few for 2 processes" in said[0]
