"""What only comparisons ask for: the arithmetic of walks without a cache, the bytes that a walk reads."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from oarpipe.config.training import Precision
from oarpipe.models.flops import ModelSize, forward_flops


def uncached_cost(size: ModelSize, queries: Sequence[int]) -> int:
    """FLOP of one sample's walk, a place a step, whose steps run the training forward anew for each query."""
    return sum(
        asked * forward_flops(replace(size, positions=step)) for step, asked in enumerate(queries, start=1)
    )


def masked_cost(size: ModelSize, queries: Sequence[int]) -> int:
    """The same where a step asks all its queries in one pass, behind a mask, but makes the history anew."""
    total = 0
    for step, asked in enumerate(queries):
        history = 2 * step + 1
        rows = size.layers * (history + asked)
        matrices = rows * (size.projection + size.mixing) - history * size.mixing
        attended = history * (history + 1) // 2 + asked * (history + 1)
        attention = 2 * size.layers * size.width * attended
        total += 2 * (matrices + attention + asked * size.width * size.codebook)
    return total


def walk_traffic(size: ModelSize, filled: Sequence[int], *, samples: int, precision: Precision) -> int:
    """Bytes that a cached walk must read: at every step the matrices once, and each sample's history.

    A floor: what is written, and a block's rows between its products, are left out.
    """
    weights = len(filled) * (size.block_parameters + size.width * size.codebook)
    rows = accumulate((2 * places if size.asks else places for places in filled[:-1]), initial=1)
    history = samples * size.layers * 2 * size.width * sum(rows)
    return (4 if precision == "float32" else 2) * (weights + history)
