"""Schedules: learning rates, the anneal of orders, RandAR's places a step."""

import math
from itertools import groupby, pairwise

import pytest

from oarpipe.base.schedules import places_per_step, rate, start_share
from oarpipe.config.orders import AnnealConfig, PerStepConfig, RandomConfig, RuleConfig
from oarpipe.config.training import ScheduleConfig


def cosine(steps: int, positions: int = 256) -> tuple[int, ...]:
    return places_per_step(PerStepConfig(kind="cosine", steps=steps), positions)


@pytest.mark.parametrize(
    ("steps", "largest"), [(128, 4), (88, 5), (64, 7), (48, 9), (32, 13), (20, 20), (16, 25), (8, 49)]
)
def test_the_cosine_takes_as_many_steps_as_randar_does(steps: int, largest: int) -> None:
    counts = cosine(steps)
    assert sum(counts) == 256
    assert len(counts) == steps
    assert max(counts) == largest


def test_eighty_eight_steps_begin_as_in_randar() -> None:
    runs = [(value, len(list(group))) for value, group in groupby(cosine(88))]
    assert runs[0] == (1, 24)
    assert cosine(88)[24:34] == (2, 2, 2, 2, 2, 2, 3, 2, 3, 2)


def test_more_steps_than_places_fills_one_place_a_step() -> None:
    assert cosine(10_000, positions=36) == (1,) * 36
    assert places_per_step(PerStepConfig(), 36) == (1,) * 36


def test_a_cosine_rate_warms_up_and_ends_at_its_final_share() -> None:
    schedule = ScheduleConfig(kind="cosine", warmup=0.1, final=0.05)
    rates = [rate(schedule, step, 100) for step in range(101)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert rates[10] == pytest.approx(1)
    assert rates[55] == pytest.approx(0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi / 2)))
    assert rates[100] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_linear_and_constant_rates_are_what_they_say() -> None:
    assert rate(ScheduleConfig(kind="linear", final=0.0), 25, 100) == pytest.approx(0.75)
    assert rate(ScheduleConfig(kind="constant"), 99, 100) == 1.0


def test_the_share_of_random_orders_falls_between_two_fractional_epochs() -> None:
    to = RuleConfig(kind="rule", name="raster")
    anneal = AnnealConfig(
        kind="anneal", start=RandomConfig(), to=to, start_epoch=0.5, end_epoch=2.5, floor=0.2
    )
    shares = [start_share(anneal, epoch) for epoch in (0.0, 0.49, 0.5, 1.5, 2.5, 9.0)]
    assert shares == pytest.approx([1, 1, 1, 0.6, 0.2, 0.2])
