"""A batch that sizes itself: what it predicts is an upper bound of what a walk takes, and not a wild one."""

import multiprocessing
from pathlib import Path

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.orders import FollowConfig, GreedyConfig, RandomConfig
from oarpipe.decoding import batches
from oarpipe.decoding.batches import fitting_batch
from oarpipe.decoding.walks import extract_orders
from oarpipe.models.flops import ModelSize
from oarpipe.models.memory import walk_bytes
from oarpipe.models.position_tokens import PositionTokens

GREEDY = GreedyConfig(select="greedy")
FOLLOW = FollowConfig(select="follow", order=RandomConfig())


def model(side: int) -> PositionTokens:
    made = PositionTokens(grid=Grid(side, side), codebook=512, classes=10, layers=4, heads=4, width=128)
    made.initialise(0)
    return made.eval()


def peak() -> int:
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) * 1024


def taken(side: int, batch: int) -> int:
    """What a greedy extraction adds to this process's peak memory, the model's weights left out."""
    torch.set_num_threads(1)
    extract_orders(model(2), torch.zeros(1, 4).long(), torch.zeros(1).long(), GREEDY)
    network = model(side)
    before = peak()
    extract_orders(network, torch.zeros(batch, side**2).long(), torch.zeros(batch).long(), GREEDY)
    return peak() - before


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is Linux's to tell")
@pytest.mark.parametrize(("side", "batch"), [(8, 64), (14, 16)])
def test_a_walk_takes_no_more_than_predicted_and_at_least_a_sixth(side: int, batch: int) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured = pool.apply(taken, (side, batch))
    size = ModelSize.of(model(side))
    weights = walk_bytes(size, 10, samples=0, queries=0, precision="float32", device="cpu")
    told = walk_bytes(size, 10, samples=batch, queries=side**2, precision="float32", device="cpu")
    assert (told - weights) / 6 < measured < told - weights


def test_a_batch_is_the_largest_power_of_two_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    network = model(4)
    size = ModelSize.of(network)
    for wanted in (1, 8, 32):
        free = walk_bytes(size, 10, samples=wanted, queries=16, precision="float32", device="cpu")
        monkeypatch.setattr(batches, "free_memory", lambda device, free=free: free / batches.SHARE + 1)
        assert fitting_batch(network, GREEDY, "float32", most=1000) == wanted


def test_more_rows_than_fill_the_cores_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "free_memory", lambda device: 10**15)
    network = model(16)
    assert fitting_batch(network, GREEDY, "float32", most=4096) == batches.ENOUGH_ROWS["cpu"] // 256
    assert fitting_batch(network, FOLLOW, "float32", most=4096) == batches.MOST
    assert fitting_batch(network, FOLLOW, "float32", most=100) == 64
