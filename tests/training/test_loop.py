"""The training loop: the same bits whatever interrupts it, and what it tells along the way."""

import math
import multiprocessing
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from oarpipe.errors import OarpipeError
from oarpipe.training import loop
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.loop import Run, fit
from oarpipe.training.objective import mean_nll
from tests.conftest import published_weights
from tests.training.toy import (
    ANNEALED,
    CODEBOOK,
    NO_DROPOUT,
    Killed,
    lines,
    run,
    same,
    saving_at,
    tokens,
    weights,
)

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "annealed, averaged, in microbatches": {"order": ANNEALED, "ema": 0.9, "microbatch": 3},
    "in bfloat16, on a warmed-up linear rate": {
        "precision": "bfloat16",
        "schedule": {"kind": "linear", "warmup": 0.5},
    },
}


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring this machine's GEMM rate takes seconds; it is one of the numbers told, no more."""
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


def killed_at(step: int, interrupted: Run, patch: pytest.MonkeyPatch, *, saves: tuple[int, ...] = ()) -> None:
    """Runs until `step` steps are done, having saved after those of `saves`; then nothing more happens."""
    source, count = interrupted.source, 0

    def deadly(visits: Any) -> Any:
        nonlocal count
        count += 1
        if count > step:
            raise Killed
        return source(visits)

    with patch.context() as within:
        within.setattr(Checkpoints, "due", saving_at(*saves))
        with pytest.raises(Killed):
            fit(replace(interrupted, source=deadly))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("killed", [3, 5])
def test_a_run_that_was_killed_ends_bit_identical_to_one_that_was_not(
    tmp_path: Path, name: str, killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", **VARIANTS[name])
    expected = weights(fit(whole))
    killed_at(killed, run(tmp_path / "killed", **VARIANTS[name]), monkeypatch, saves=(3,))
    again = run(tmp_path / "killed", **VARIANTS[name])
    assert same(expected, weights(fit(again)))
    assert lines(again) == lines(whole)
    assert [line["step"] for line in lines(again)] == list(range(6))


def test_another_seed_or_source_would_have_been_noticed(tmp_path: Path) -> None:
    one = weights(fit(run(tmp_path / "a")))
    assert not same(one, weights(fit(replace(run(tmp_path / "b"), seed=1))))
    assert not same(one, weights(fit(run(tmp_path / "c", order={"kind": "rule", "name": "raster"}))))


def test_validating_changes_no_bit(tmp_path: Path) -> None:
    silent = run(tmp_path / "silent", validate_every=2)
    told = run(tmp_path / "told", validate_every=2, validate=lambda model: mean_nll(model, tokens(), 0))
    assert same(weights(fit(silent)), weights(fit(told)))
    assert [line["step"] for line in lines(told) if "validation_nll" in line] == [1, 3, 5]


def test_microbatches_give_the_gradients_of_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients: list[torch.Tensor] = []

    def clip(model: torch.nn.Module, config: object) -> torch.Tensor:
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        norm: torch.Tensor = gradients[-1].norm()
        return norm

    monkeypatch.setattr(loop, "clip", clip)
    for microbatch in (None, 4, 3, 1):  # the third splits the batch unevenly
        once = run(tmp_path / str(microbatch), steps=1, microbatch=microbatch, **NO_DROPOUT)
        once.model.load_state_dict(published_weights(once.model))
        fit(once)
    whole, equal, uneven, single = gradients
    assert whole.norm() > 0.1
    assert torch.equal(equal, whole)
    for parts in (uneven, single):
        assert (parts - whole).norm() < 1e-5 * whole.norm()


def test_the_average_is_what_is_kept(tmp_path: Path) -> None:
    """The mean over the weights of runs of 1, 2 and 3 steps, by hand."""
    constant = {"schedule": {"kind": "constant"}}
    after = [weights(fit(run(tmp_path / str(n), steps=n, **constant))) for n in (1, 2, 3)]
    kept = weights(fit(run(tmp_path / "ema", steps=3, ema=0.75, **constant)))
    for key in kept:
        expected = after[0][key]
        for later in after[1:]:
            expected = 0.75 * expected + 0.25 * later[key]
        assert (kept[key] - expected).abs().max() < 1e-6, key
    assert not same(kept, after[-1])


def test_the_share_of_random_orders_is_told_as_it_falls(tmp_path: Path) -> None:
    annealed = run(tmp_path, steps=9, order=ANNEALED)  # three steps an epoch; the share falls over 1.5
    fit(annealed)
    expected = [1, 1, 8 / 9, 6 / 9, 4 / 9, 2 / 9, 0, 0, 0]
    assert [line["random_share"] for line in lines(annealed)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "share"), [({"kind": "random"}, 1), ({"kind": "rule", "name": "spiral"}, 0)]
)
def test_without_annealing_every_order_or_none_is_random(
    tmp_path: Path, kind: dict[str, str], share: int
) -> None:
    once = run(tmp_path, steps=1, order=kind)
    fit(once)
    assert lines(once)[0]["random_share"] == share


def test_the_loss_begins_at_that_of_a_guess_and_falls(tmp_path: Path) -> None:
    toy = run(tmp_path, steps=80, lr=1e-2, class_dropout=0.0, **NO_DROPOUT)
    fit(toy)
    told = lines(toy)
    assert told[0]["loss"] == pytest.approx(math.log(CODEBOOK), abs=1e-6)
    assert told[-1]["loss"] < 0.5 * told[0]["loss"]


def test_what_is_told_is_a_line_a_step_with_its_rate(tmp_path: Path) -> None:
    toy = run(tmp_path, steps=5, log_every=2, lr=1e-3, schedule={"kind": "linear", "final": 0.0})
    fit(toy)
    told = lines(toy)
    assert [line["step"] for line in told] == [1, 3, 4]
    assert [line["lr"] for line in told] == pytest.approx([8e-4, 4e-4, 2e-4])
    assert {"loss", "norm", "random_share"} <= told[0].keys()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(tmp_path: Path) -> None:
    toy = run(tmp_path)
    forward, count = toy.model.forward, 0

    def spoilt(*arguments: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += 1
        return forward(*arguments) * (float("nan") if count == 3 else 1.0)

    toy.model.forward = spoilt  # type: ignore[method-assign,assignment]
    with pytest.raises(OarpipeError, match=r"models/toy: the loss is nan at step 2; lower train\.lr"):
        fit(toy)
    assert [line["step"] for line in lines(toy)] == [0, 1]
    assert not toy.checkpoints.exists()


def test_a_spoilt_state_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = run(tmp_path, log_every=100)
    monkeypatch.setattr(Checkpoints, "due", saving_at(2))
    toy.model.pos_instruct_embeddings.data.fill_(float("inf"))
    with pytest.raises(OarpipeError, match="at step 1"):
        fit(toy)
    assert not toy.checkpoints.exists()


class Reads(TorchDispatchMode):
    """Counts what makes the host wait for a device: a value read, or a shape that depends on values."""

    waiting = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func.__name__.split(".")[0] in self.waiting
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"order": ANNEALED, "ema": 0.9, "microbatch": 3, "clip": None}])
def test_between_two_lines_of_the_log_no_value_is_read(tmp_path: Path, options: dict[str, Any]) -> None:
    for steps in (3, 9):
        silent = run(tmp_path / str(steps), steps=steps, log_every=100, **options)
        with Reads() as reads:
            fit(silent)
        assert reads.count == 2  # the last step's loss and norm


@pytest.mark.gpu
def test_a_gpu_is_never_waited_for_between_two_lines(tmp_path: Path) -> None:
    silent = run(tmp_path, steps=9, log_every=100, order=ANNEALED, ema=0.9)
    silent.model.cuda()
    seen: list[str] = []
    source = silent.source

    def strict(visits: Any) -> Any:
        """From the second batch on a wait is an error; the last lines may read."""
        order = source(visits)
        seen.append("batch")
        torch.cuda.set_sync_debug_mode("error" if 1 < len(seen) < 9 else "default")
        return order

    try:
        fit(replace(silent, source=strict))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_batches_are_made_while_others_are_computed_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = run(tmp_path, steps=9)
    source, made, second = toy.source, [], threading.Event()

    def counted(visits: Any) -> Any:
        made.append(int(visits.counters[0]))
        if len(made) == 2:
            second.set()
        return source(visits)

    def clip(*_: Any) -> torch.Tensor:
        assert second.wait(10)  # in the midst of the first step
        return torch.zeros(())

    monkeypatch.setattr(loop, "clip", clip)
    fit(replace(toy, source=counted))
    assert made == [4 * step for step in range(9)]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "within"), [("float32", 1e-5), ("bfloat16", 3e-3)])
def test_a_compiled_step_trains_to_the_same_weights(tmp_path: Path, precision: str, within: float) -> None:
    """In a process of its own, because the compiler cannot see through the shapes that tests enforce."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(compiled_less_plain, (tmp_path, precision)) < within


def compiled_less_plain(folder: Path, precision: str) -> float:
    """The largest difference in any weight; AdamW's steps are of the size of its rate, 1e-3."""
    setattr(loop, "gemm_rate", lambda *_: 1e11)  # noqa: B010
    options = {"precision": precision, "lr": 1e-3, **NO_DROPOUT}
    plain = weights(fit(run(folder / "plain", **options)))
    compiled = weights(fit(run(folder / "compiled", compile=True, **options)))
    return max(float((plain[key] - compiled[key]).abs().max()) for key in plain)
