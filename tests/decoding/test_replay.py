"""Recorded walks: the same results, nothing asked of the host, and running when recording does not serve.

There is no GPU here: a stand-in for the graph runs the walk again and writes over what it gave first.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from oarpipe.base.grid import Grid
from oarpipe.config.orders import GreedyConfig, PolicyConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.config.tables import validate_entry
from oarpipe.decoding.protocol import Walk
from oarpipe.decoding.replay import Replayed, Walking, replayed
from oarpipe.decoding.walks import extract_orders, new_orders, sample_tokens
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import build_source

GRID = Grid(3, 3)
LABELS = torch.tensor([0, 3])
POLICIES: dict[str, dict[str, Any]] = {
    "follow": {"select": "follow", "order": {"kind": "random"}},
    "causal": {
        "select": "follow",
        "order": {"kind": "random"},
        "visibility": "causal",
        "per_step": {"kind": "cosine", "steps": 4},
    },
    "greedy": {"select": "greedy"},
    "top-k": {"select": "greedy", "per_step": {"kind": "cosine", "steps": 4}},
    "near": {"select": "near"},
    "lazy": {"select": "lazy"},
}


def tokens(seed: int) -> Tensor:
    return torch.randint(0, 11, (2, 9), generator=torch.Generator().manual_seed(seed))


def over_again(walking: Walking, inputs: list[Tensor]) -> tuple[Callable[[], None], Walk]:
    walk = walking(*inputs)

    @torch.inference_mode()
    def replay() -> None:
        for field in fields(walk):
            value = getattr(walk, field.name)
            if value is not None:
                value.copy_(getattr(walking(*inputs), field.name))

    return replay, walk


@pytest.fixture
def walking(tiny_model: Callable[..., PositionTokens]) -> Walking:
    model = tiny_model(grid=GRID)
    return lambda codes, labels: extract_orders(model, codes, labels)


def test_a_recorded_walk_is_that_of_its_own_inputs_and_stays_so(walking: Walking) -> None:
    recorded = Replayed(walking, over_again)
    found = [recorded(tokens(seed), LABELS) for seed in range(5)]
    assert recorded._recorded
    for seed, walk in enumerate(found):
        expected = walking(tokens(seed), LABELS)
        assert torch.equal(walk.order, expected.order)
        assert torch.equal(walk.score, expected.score)


def test_a_smaller_last_batch_is_run(walking: Walking) -> None:
    recorded = Replayed(walking, over_again)
    for seed in range(3):
        recorded(tokens(seed), LABELS)
    assert torch.equal(recorded(tokens(7)[:1], LABELS[:1]).order, walking(tokens(7)[:1], LABELS[:1]).order)


def test_a_recording_that_gives_another_order_is_not_used(
    walking: Walking, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(walking: Walking, inputs: list[Tensor]) -> tuple[Callable[[], None], Walk]:
        walk = walking(*inputs)
        return lambda: None, replace(walk, order=walk.order.flip(1))

    recorded = Replayed(walking, wrong)
    for seed in range(4):
        assert torch.equal(recorded(tokens(seed), LABELS).order, walking(tokens(seed), LABELS).order)
    assert "gave another order" in caplog.text


def test_a_walk_that_cannot_be_recorded_is_run(walking: Walking, caplog: pytest.LogCaptureFixture) -> None:
    def refused(walking: Walking, inputs: Sequence[Tensor]) -> tuple[Callable[[], None], Walk]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    recorded = Replayed(walking, refused)
    for seed in range(4):
        assert torch.equal(recorded(tokens(seed), LABELS).order, walking(tokens(seed), LABELS).order)
    assert caplog.text.count("not permitted when stream is capturing") == 1


def test_nothing_is_recorded_without_a_gpu(walking: Walking) -> None:
    assert replayed(walking, GreedyConfig(select="greedy"), torch.device("cpu")) is walking


class HostReads(TorchDispatchMode):
    """Notes every operation that makes the host wait for a number, or that brings one from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        if name.startswith(("aten._local_scalar_dense", "aten.nonzero", "aten.equal", "aten.masked_select")):
            self.found.append(name)
        if name.startswith("aten.index.") and any(x is not None and x.dtype == torch.bool for x in args[1]):
            self.found.append(name)
        if name.startswith("aten.lift_fresh"):
            self.found.append(name)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_walk_never_looks_at_a_number(
    tiny_model: Callable[..., PositionTokens], policy: str, guidance: float
) -> None:
    model = tiny_model(grid=GRID)
    entry, mistakes = validate_entry(
        "samples", "s", {"model": "m", "policy": POLICIES[policy], "guidance": {"scale": guidance}}
    )
    assert isinstance(entry, SamplesConfig), mistakes
    chosen: PolicyConfig = entry.policy
    order = None
    if chosen.select == "follow":
        order = new_orders(build_source(chosen.order, GRID, 0), LABELS, torch.arange(2), LABELS.device)
    sample_tokens(model, LABELS, entry, samples=torch.arange(2), seed=0, order=order)  # packs the weights
    with HostReads() as reads:
        sample_tokens(model, LABELS, entry, samples=torch.arange(2), seed=0, order=order)
    assert not reads.found
