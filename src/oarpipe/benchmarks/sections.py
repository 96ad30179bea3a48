"""The walks that are compared: the paper's Table 8, the oracle, extraction and generation in all modes."""

from typing import Any

from oarpipe.benchmarks.costs import masked_cost, uncached_cost
from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.measure import Patience, Task, in_turn
from oarpipe.benchmarks.subjects import subject, told
from oarpipe.benchmarks.walks import GREEDY, Walker
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.orders import (
    FollowConfig,
    GreedyConfig,
    LazyConfig,
    MonitorConfig,
    PerStepConfig,
    PolicyConfig,
    PredictedConfig,
    RandomConfig,
    RuleConfig,
)
from oarpipe.config.samples import GuidanceConfig
from oarpipe.config.training import Precision
from oarpipe.decoding.flops import asked
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.reference import MaskedDecoder, ReferenceDecoder

RASTER = FollowConfig(select="follow", order=RuleConfig(kind="rule", name="raster"))
# A head of random weights, trusted whatever it says: it costs what a trained one does.
PREDICTED = PredictedConfig(select="predicted", head="h", monitor=MonitorConfig(low=0.0, high=1e9))
TOGETHER = 16  # images that the decoders of one order extract together

Found = dict[str, Any]


def table8(config: BenchmarkConfig, machine: Machine) -> Found:
    """Generation of one image by the ways of the paper's Table 8, each with its own arithmetic as floor."""
    walker = Walker(subject(config.small, machine.device), machine, "float32")
    size = walker.size
    every, one = asked(size, GREEDY), asked(size, RASTER)
    weights = 4 * (size.block_parameters + size.width * size.codebook)
    tasks = [
        Task("raster without cache", walker.by(ReferenceDecoder, RASTER, 1), 1, uncached_cost(size, one)),
        walker.generation("raster, cached", RASTER, 1),
        Task("greedy, naive", walker.by(ReferenceDecoder, GREEDY, 1), 1, uncached_cost(size, every)),
        Task(
            "greedy, parallel",
            walker.by(MaskedDecoder, GREEDY, 1),
            1,
            masked_cost(size, every),
            weights * len(every),
        ),
        walker.generation("greedy, parallel and cached", GREEDY, 1),
    ]
    return {"model": told(config.small), **in_turn(tasks, machine, _patience(config))}


def oracle(config: BenchmarkConfig, machine: Machine) -> Found:
    """Extraction by three decoders that give the same orders; the floor is the cached walk's."""
    walker = Walker(subject(config.small, machine.device), machine, "float32")
    cached = walker.extraction("cached", GREEDY, TOGETHER)
    makers = {
        "cached": PositionTokensDecoder,
        "masked, without cache": MaskedDecoder,
        "oracle": ReferenceDecoder,
    }
    tasks = [
        Task(name, walker.by(maker, GREEDY, TOGETHER, truth=True), TOGETHER, cached.flop, cached.bytes)
        for name, maker in makers.items()
    ]
    return {
        "model": told(config.small),
        "positions": config.small.side**2,
        **in_turn(tasks, machine, _patience(config)),
    }


def extraction(config: BenchmarkConfig, machine: Machine) -> Found:
    """Orders of given images, exact and cheaper."""
    walker = _walker(config, machine, config.precision)
    tasks = [walker.extraction(name, policy, config.extracted) for name, policy in extraction_modes(config)]
    return {"model": told(config.model), **in_turn(tasks, machine, _patience(config))}


def extraction_modes(config: BenchmarkConfig) -> list[tuple[str, PolicyConfig]]:
    """By name; a walk of more passes than places would only repeat the exact one."""
    modes: list[tuple[str, PolicyConfig]] = [("exact", GREEDY)]
    modes += [("lazy", LazyConfig(select="lazy")), ("predicted", PREDICTED)]
    modes += [
        (f"top-k, {steps} steps", top_k(steps)) for steps in (88, 64, 48, 32, 20) if _is_short(config, steps)
    ]
    return modes


def exact(config: BenchmarkConfig, machine: Machine) -> Found:
    """Exact extraction with a large model, by a sample of its steps."""
    model = subject(config.large, machine.device, config.precision)
    walker = Walker(model, machine, config.precision)
    if config.every == 1:
        task = walker.extraction("exact", GREEDY, config.extracted)
    else:
        task = walker.sampled_extraction("exact", config.extracted, config.every)
    return {"model": told(config.large), **in_turn([task], machine, _patience(config))}


def generation(config: BenchmarkConfig, machine: Machine) -> Found:
    """New images: in given orders, greedy, and guided, for every batch; some in the other precision too."""
    other: Precision = "float32" if config.precision == "bfloat16" else "bfloat16"
    walker, twin = _walker(config, machine, config.precision), _walker(config, machine, other)
    tasks: list[Task] = []
    for batch in config.batches:
        tasks += [
            walker.generation(name, policy, batch, guidance)
            for name, policy, guidance in generation_modes(config)
        ]
        tasks.append(_greedy(walker, config, machine, batch))
        tasks += [
            twin.generation(name, policy, batch)
            for name, policy, guidance in generation_modes(config)
            if guidance is None
        ]
    return {"model": told(config.model), **in_turn(tasks, machine, _patience(config))}


def generation_modes(config: BenchmarkConfig) -> list[tuple[str, PolicyConfig, GuidanceConfig | None]]:
    """Name, policy and guidance; exact greedy is apart, since it may have to be sampled."""
    steps = config.model.side**2
    scored, both = (GuidanceConfig(scale=2.0, places=places) for places in ("conditional", "guided"))
    modes: list[tuple[str, PolicyConfig, GuidanceConfig | None]] = [
        ("raster", RASTER, None),
        (f"random, {steps} steps", random_order(), None),
        (f"lazy, {steps} steps", LazyConfig(select="lazy"), None),
        (f"predicted, {steps} steps", PREDICTED, None),
    ]
    for short in (s for s in (88, 32) if _is_short(config, s)):
        modes.append((f"random, {short} steps", random_order(short), None))
    if _is_short(config, 32):
        modes += [
            ("random, 32 steps, guided", random_order(32), scored),
            ("top-k, 32 steps", top_k(32), None),
            ("top-k, 32 steps, guided", top_k(32), scored),
            ("top-k, 32 steps, guided places too", top_k(32), both),
        ]
    return modes


def top_k(steps: int) -> GreedyConfig:
    """Several of the best places a step, on the cosine schedule."""
    return GreedyConfig(select="greedy", per_step=PerStepConfig(kind="cosine", steps=steps))


def random_order(steps: int | None = None) -> FollowConfig:
    """A given order, as RandAR's: queries of a step see the earlier ones."""
    if steps is None:
        return FollowConfig(select="follow", order=RandomConfig())
    per_step = PerStepConfig(kind="cosine", steps=steps)
    return FollowConfig(select="follow", order=RandomConfig(), per_step=per_step, visibility="causal")


def _greedy(walker: Walker, config: BenchmarkConfig, machine: Machine, batch: int) -> Task:
    """Exact greedy generation; by a sample of its steps, where its floor alone is beyond patience."""
    name = f"greedy, {walker.size.positions} steps"
    task = walker.generation(name, GREEDY, batch)
    if task.flop / machine.gemm(walker.precision) < config.patience:
        return task
    return walker.sampled_generation(name, batch, config.every)


def _walker(config: BenchmarkConfig, machine: Machine, precision: Precision) -> Walker:
    return Walker(subject(config.model, machine.device, precision), machine, precision)


def _is_short(config: BenchmarkConfig, steps: int) -> bool:
    return steps < config.model.side**2


def _patience(config: BenchmarkConfig) -> Patience:
    return Patience(config.rounds, config.patience)
