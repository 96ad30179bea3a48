"""Numbers that change over a run: learning rates, shares of random orders, places a step."""

import math
from functools import cache

from oarpipe.config.orders import AnnealConfig, LazyConfig, PerStepConfig, PredictedConfig
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


def places_by_filled(per_step: PerStepConfig, positions: int) -> dict[int, int]:
    """How many places a step fills, by how many are filled before it."""
    counts, filled = {}, 0
    for count in places_per_step(per_step, positions):
        counts[filled] = count
        filled += count
    return counts


def places_asked(lazy: LazyConfig, places: int, open_places: int, positions: int) -> int:
    """How many of the open places a lazy step asks about that fills `places`: at first, all."""
    if open_places == positions:
        return positions
    return min(open_places, max(places, lazy.least + round(lazy.share * open_places)))


def places_predicted(predicted: PredictedConfig, places: int, open_places: int) -> int:
    """How many of the open places a step asks about that fills `places`, if no prediction is in doubt."""
    return min(open_places, max(places, predicted.candidates))
