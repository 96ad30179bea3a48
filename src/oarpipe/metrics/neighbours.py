"""How a walk grows over the grid: whether it touches what is filled, and how long it stays where it is.

A place's neighbours are the up to eight around it.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int, Int64, Integer
from scipy.special import gammaln

from oarpipe.base.grid import Grid
from oarpipe.base.noise import Stream, permutations

Orders = Integer[np.ndarray, "R N"]
_SHIFTS = [(rows, columns) for rows in (-1, 0, 1) for columns in (-1, 0, 1) if rows or columns]
_ROWS = 16_384  # worked on at once
_DRAWS = 1000


def adjacency(grid: Grid) -> Bool[np.ndarray, "N N"]:
    """Which positions are neighbours."""
    places = grid.coordinates().numpy()
    are_next: np.ndarray = np.abs(places[:, None] - places[None]).max(axis=2) == 1
    return are_next


def filled_neighbours(orders: Orders, grid: Grid) -> Float64[np.ndarray, "R N"]:
    """The share of a place's neighbours that are filled when it is, by step; 0 where there are none.

    Its mean over the first 32 steps of 16x16 is the "spatial coverage" of the order-head study: 34.8 % in
    raster order.
    """
    around = np.maximum(adjacency(grid).sum(axis=1), 1)
    shares = []
    for part in (orders[begin : begin + _ROWS] for begin in range(0, len(orders), _ROWS)):
        steps = np.argsort(part, axis=1)
        padded = np.pad(
            steps.reshape(-1, grid.height, grid.width),
            ((0, 0), (1, 1), (1, 1)),
            constant_values=grid.positions,
        )
        inner = padded[:, 1:-1, 1:-1]
        before = sum(
            padded[:, 1 + r : 1 + r + grid.height, 1 + c : 1 + c + grid.width] < inner for r, c in _SHIFTS
        )
        share = np.reshape(before, (len(part), -1)) / around
        shares.append(np.take_along_axis(share, part.astype(np.int64), axis=1))
    return np.concatenate(shares)


def random_filled(positions: int) -> Float64[np.ndarray, " N"]:
    """The expectation of `filled_neighbours` over random orders: t of the N - 1 others are filled."""
    return np.arange(positions) / max(positions - 1, 1)


def random_touch(grid: Grid) -> Float64[np.ndarray, " N"]:
    """The chance, by step, that a random order's place has a filled neighbour.

    Of a place with k neighbours none is among the t filled with chance C(N-1-k, t) / C(N-1, t).
    """
    others, step = grid.positions - 1, np.arange(grid.positions)
    around = adjacency(grid).sum(axis=1)[:, None]
    rest = others - around
    possible = step <= rest
    logs = _log_choose(rest, np.where(possible, step, 0)) - _log_choose(others, step)
    touched: np.ndarray = 1 - np.where(possible, np.exp(logs), 0.0).mean(axis=0)
    return touched


def _log_choose(n: Int[np.ndarray, "*N"] | int, k: Int64[np.ndarray, "*K"]) -> np.ndarray:
    chosen: np.ndarray = gammaln(np.asarray(n) + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return chosen


def connected_runs(orders: Orders, grid: Grid) -> Int64[np.ndarray, " R"]:
    """Into how many runs each walk falls.

    A run is a stretch of steps that each touch a place which the same run has filled; a step that touches
    none begins the next. A walk that finishes one region before it moves on has few, long runs.
    """
    touching = adjacency(grid)
    found = []
    for part in (orders[begin : begin + _ROWS] for begin in range(0, len(orders), _ROWS)):
        reached = np.zeros((len(part), grid.positions), dtype=bool)  # next to the run
        runs, rows = np.zeros(len(part), np.int64), np.arange(len(part))
        for places in part.T.astype(np.int64):
            begins = ~reached[rows, places]
            runs += begins
            reached[begins] = False
            reached |= touching[places]
        found.append(runs)
    return np.concatenate(found)


def random_connected_runs(grid: Grid) -> float:
    """The mean of `connected_runs` over 1,000 random orders, always the same."""
    orders = permutations(0, Stream.VISIT, torch.arange(_DRAWS), 0, grid.positions)
    return float(connected_runs(orders.numpy(), grid).mean())


def quadrants(grid: Grid) -> Int64[np.ndarray, " N"]:
    """The quarter of the grid, 0 to 3, in which each raster position lies."""
    rows, columns = grid.coordinates().numpy().T
    quarter: np.ndarray = (rows * 2 // grid.height) * 2 + columns * 2 // grid.width
    return quarter


def region_visits(orders: Orders, regions: Integer[np.ndarray, " N"]) -> Float64[np.ndarray, " R"]:
    """How often a walk comes to a region, on average: 1 if it finishes each before it leaves it."""
    walked = regions[orders.astype(np.int64)]
    moves: np.ndarray = (walked[:, 1:] != walked[:, :-1]).sum(axis=1)
    return (1 + moves) / len(np.unique(regions))


def random_region_visits(regions: Integer[np.ndarray, " N"]) -> float:
    """The expectation of `region_visits` over random orders: two places are of one region by their counts."""
    positions = len(regions)
    counts = np.unique(regions, return_counts=True)[1]
    stays = (counts * (counts - 1)).sum() / max(positions * (positions - 1), 1)
    return float((1 + (positions - 1) * (1 - stays)) / len(counts))
