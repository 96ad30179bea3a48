"""Numbers that change over a run: learning rates, shares of random orders, places a step."""

import math
from functools import cache

from oarpipe.config.orders import AnnealConfig, PerStepConfig
from oarpipe.config.training import ScheduleConfig


def rate(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """The share of the peak learning rate at `step` of `steps` (0-based)."""
    warmup = schedule.warmup * steps
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(steps - warmup, 1)
    if schedule.kind == "constant":
        return 1.0
    if schedule.kind == "linear":
        return 1.0 - (1.0 - schedule.final) * progress
    return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def start_share(anneal: AnnealConfig, epoch: float) -> float:
    """The share of `start` orders at a (fractional) epoch: 1, then linear, then the floor (paper §4.4)."""
    if epoch < anneal.start_epoch:
        return 1.0
    if epoch >= anneal.end_epoch:
        return anneal.floor
    progress = (epoch - anneal.start_epoch) / (anneal.end_epoch - anneal.start_epoch)
    return 1.0 - (1.0 - anneal.floor) * progress


@cache
def places_per_step(per_step: PerStepConfig, positions: int) -> tuple[int, ...]:
    """How many places each step fills; they add up to `positions`.

    `cosine` is RandAR's published schedule: after t passes of S, the goal is
    floor((1 - cos(pi/2 (t+1)/S)) N + 1) places, and at least one more.
    """
    if per_step.kind == "one":
        return (1,) * positions
    assert per_step.steps is not None
    counts = [1]
    while sum(counts) < positions:
        done = sum(counts)
        share = 1.0 - math.cos(math.pi / 2 * (len(counts) + 1) / per_step.steps)
        goal = min(math.floor(share * positions + 1), positions)
        counts.append(min(max(goal - done, 1), positions - done))
    return tuple(counts)
