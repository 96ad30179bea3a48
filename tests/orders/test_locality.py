"""Locality orders against the rule as it is told, carried out place by place."""

import itertools

import pytest

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_per_step
from oarpipe.config.orders import PerStepConfig
from oarpipe.orders.locality import locality_order


def steps_of(grid: Grid, groups: list[int], apart: float) -> list[list[int]]:
    order = locality_order(grid, groups, apart=apart).tolist()
    bounds = [0, *itertools.accumulate(groups)]
    return [order[a:b] for a, b in itertools.pairwise(bounds)]


def distance(grid: Grid, a: int, b: int) -> float:
    (r, c), (s, d) = divmod(a, grid.width), divmod(b, grid.width)
    return float(((r - s) ** 2 + (c - d) ** 2) ** 0.5)


@pytest.mark.parametrize("grid", [Grid(8, 8), Grid(5, 9)])
def test_places_of_a_step_lie_apart_while_such_are_left(grid: Grid) -> None:
    groups = list(places_per_step(PerStepConfig(kind="cosine", steps=12), grid.positions))
    filled: set[int] = set()
    for step in steps_of(grid, groups, apart=2.0):
        for index, place in enumerate(step):
            room = {
                p: min((distance(grid, p, other) for other in step[:index]), default=99.0)
                for p in range(grid.positions)
                if p not in filled and p not in step[:index]
            }
            fits = [p for p, nearest in room.items() if nearest >= 2.0]
            if fits and filled:
                pull = {p: sum(1 / distance(grid, p, other) for other in filled) for p in fits}
                assert place in fits
                assert pull[place] == pytest.approx(max(pull.values()))
            elif filled:
                assert room[place] == pytest.approx(max(room.values()))
        filled |= set(step)


def test_it_starts_at_the_centre_and_grows_from_there() -> None:
    steps = steps_of(Grid(7, 7), [1] * 49, apart=0.0)
    assert steps[0] == [24]
    for index, (place,) in enumerate(steps[1:], start=1):
        assert min(distance(Grid(7, 7), place, other) for (other,) in steps[:index]) == 1.0
