"""The figures of `oarpipe benchmark`: extraction and generation against the oracle, and their memory.

Random weights on a grid of 64 tokens, float32. Every figure is the median of several runs taken in
turn, so that a machine whose speed drifts drifts for all of them.
"""

import multiprocessing
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from oarpipe.base.devices import gemm_rate
from oarpipe.base.grid import Grid
from oarpipe.base.log import log
from oarpipe.config.orders import FollowConfig, GreedyConfig, PerStepConfig, RuleConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.decoding.policies import Greedy, max_prob
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.protocol import Decoder
from oarpipe.decoding.reference import MaskedDecoder, ReferenceDecoder
from oarpipe.decoding.reveals import Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.walks import sample_tokens
from oarpipe.errors import BadInput
from oarpipe.models.flops import ModelSize, walk_flops
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.rules import rule_order
from oarpipe.orders.sources import Rule

GRID = Grid(8, 8)
CPU = torch.device("cpu")


def figures() -> dict[str, Any]:
    """Everything the benchmark measures, by name."""
    model = _model(GRID)
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "grid": "8x8",
        "model": "width 128, 4 layers, 4 heads, 1,024 codes, float32, random weights",
        **_extraction(model),
        **_generation(model),
        **_memory(),
    }


def _model(grid: Grid) -> PositionTokens:
    model = PositionTokens(grid=grid, codebook=1024, classes=10, layers=4, heads=4, width=128)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5)
    return model.eval()


def _extract(
    decoder: Callable[[PositionTokens, torch.Tensor], Decoder], model: PositionTokens, batch: int
) -> None:
    positions = model.grid.positions
    tokens = torch.randint(0, 1024, (batch, positions), generator=torch.Generator().manual_seed(1))
    policy = Greedy(max_prob, PerStepConfig(), positions)
    labels = torch.arange(batch) % 10
    rollout(decoder(model, labels), policy, Teacher(tokens), model.grid, batch, CPU)


def _extraction(model: PositionTokens, batch: int = 16, rounds: int = 3) -> dict[str, Any]:
    """Images a second of exact greedy extraction by three decoders that give the same orders."""
    log.info("extraction: cached, masked without cache, and the oracle (%d images each)", batch)
    seconds = _in_turn(
        {
            "cached": lambda: _extract(PositionTokensDecoder, model, batch),
            "masked": lambda: _extract(MaskedDecoder, model, batch),
            "oracle": lambda: _extract(ReferenceDecoder, model, batch),
        },
        rounds,
    )
    gemm = gemm_rate(CPU, size=2048)
    flops = batch * walk_flops(ModelSize.of(model), range(GRID.positions, 0, -1))
    return {
        "extraction_images_per_second": {name: round(batch / s, 3) for name, s in seconds.items()},
        "extraction_over_oracle": round(seconds["oracle"] / seconds["cached"], 1),
        "extraction_over_masked": round(seconds["masked"] / seconds["cached"], 2),
        "gemm_gflops": round(gemm / 1e9, 1),
        "extraction_share_of_gemm": round(flops / seconds["cached"] / gemm, 3),
    }


def _generation(model: PositionTokens, rounds: int = 15) -> dict[str, Any]:
    """Greedy over raster generation of one image, in time and in arithmetic."""
    log.info("generation: greedy and raster, batch 1")
    raster = FollowConfig(select="follow", order=RuleConfig(kind="rule", name="raster"))
    configs = {
        "greedy": SamplesConfig(model="m", policy=GreedyConfig(select="greedy")),
        "raster": SamplesConfig(model="m", policy=raster),
    }
    source = Rule(rule_order("raster", GRID, 0))

    def sample(name: str) -> Callable[[], object]:
        one = torch.zeros(1, dtype=torch.int64)
        return lambda: sample_tokens(model, one, configs[name], samples=one, seed=0, source=source)

    seconds = _in_turn({name: sample(name) for name in configs}, rounds)
    greedy = walk_flops(ModelSize.of(model), range(GRID.positions, 0, -1))
    return {
        "generation_seconds": {name: round(s, 4) for name, s in seconds.items()},
        "greedy_over_raster_time": round(seconds["greedy"] / seconds["raster"], 2),
        "greedy_over_raster_flops": round(greedy / walk_flops(ModelSize.of(model), [1] * GRID.positions), 2),
    }


def _memory() -> dict[str, Any]:
    """What extraction adds to a process's peak memory, for growing batches and growing grids."""
    log.info("memory of extraction, each in a process of its own")
    batches = {b: _peak(8, b) for b in (8, 16, 32, 64)}
    sides = {s: _peak(s, 16) for s in (8, 12, 16)}
    return {
        "extraction_peak_mib_by_batch": batches,
        "extraction_peak_mib_by_positions": {s * s: mib for s, mib in sides.items()},
        "memory_growth_per_doubled_batch": round((batches[64] / batches[16]) ** 0.5, 2),
        "memory_exponent_in_positions": round(_log(sides[16] / sides[8]) / _log(4), 2),
    }


def _log(value: float) -> float:
    return float(torch.tensor(value).log())


def _peak(side: int, batch: int) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak_here, (side, batch))


def _peak_here(side: int, batch: int) -> float:
    model = _model(Grid(side, side))
    _extract(PositionTokensDecoder, _model(Grid(2, 2)), 1)  # what any first walk allocates
    before = _peak_memory()
    _extract(PositionTokensDecoder, model, batch)
    return round(_peak_memory() - before, 1)


def _peak_memory() -> float:
    """The most memory this process ever held, MiB, by the kernel's own account."""
    status = Path("/proc/self/status")
    if not status.is_file():
        raise BadInput(f"no {status}: the memory figures need Linux; run the benchmark there")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, taken A B A B …"""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}
