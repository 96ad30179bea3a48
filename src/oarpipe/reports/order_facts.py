"""What the orders of a set are like, and how far sets agree, as plain numbers for a table, a page or JSON."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch

from oarpipe.config.orders import leaks
from oarpipe.data.order_table import rows_in_common
from oarpipe.errors import BadInput
from oarpipe.metrics.agreement import class_tau, kendall_tau, within_and_between
from oarpipe.metrics.neighbours import (
    connected_runs,
    filled_neighbours,
    quadrants,
    random_connected_runs,
    random_filled,
    random_region_visits,
    random_touch,
    region_visits,
)
from oarpipe.metrics.order_maps import mean_steps, random_entropy, step_entropies, visits
from oarpipe.metrics.paths import random_step_distance
from oarpipe.orders.algebra import mirror, step_distances
from oarpipe.reports.order_sets import OrderSet

Facts = dict[str, Any]


def set_facts(one: OrderSet) -> Facts:
    """All that the orders alone tell; lists are by step, `random` is the expectation of random orders."""
    table, grid = one.first_view, one.grid
    if grid.positions < 2:
        raise BadInput(f"{one.name}: a grid of one place has one order, and nothing to measure")
    labels, groups = np.unique(table.label, return_inverse=True)
    jumps = step_distances(torch.from_numpy(table.order.astype(np.int64)), grid).double().mean(dim=0)
    filled = filled_neighbours(table.order, grid)
    touches, chance = (filled > 0).mean(axis=0), random_touch(grid)
    early = max(grid.positions // 8, 2)
    regions, tau = quadrants(grid), class_tau(table.order, groups, len(labels))
    within, between = within_and_between(tau, groups)
    return {
        "name": one.name,
        "kind": "extraction" if one.store is None else "generation",
        "leaks": leaks(json.loads(table.provenance.get("policy", "{}"))),
        "grid": str(grid),
        "images": len(table),
        "labels": labels.tolist(),
        "d": _measure(jumps.mean(), random_step_distance(grid), jumps),
        "entropy": _entropy(table.order),
        "class_entropy": _class_entropy(table.order, groups),
        "tau_within": _measure(within, 0.0),
        "tau_between": _measure(between, 0.0),
        "touch": _measure(touches[1:].mean(), chance[1:].mean(), touches)
        | {"random_by_step": chance.tolist()},
        "coverage": _measure(
            filled[:, :early].mean(), random_filled(grid.positions)[:early].mean(), filled.mean(axis=0)
        ),
        "run_length": _measure(
            grid.positions / connected_runs(table.order, grid).mean(),
            grid.positions / random_connected_runs(grid),
        ),
        "quadrant_visits": _measure(
            region_visits(table.order, regions).mean(), random_region_visits(regions)
        ),
        "class_tau": tau.tolist(),
        "mean_steps": [mean_steps(table.order[groups == g]).tolist() for g in range(len(labels))],
        "first_places": [visits(table.order[groups == g])[0].tolist() for g in range(len(labels))],
        "views": _views(one),
    }


def _measure(value: Any, random: Any, by_step: Any = None) -> Facts:
    facts: Facts = {"value": float(value), "random": float(random)}
    return facts if by_step is None else facts | {"by_step": by_step.tolist()}


def _entropy(orders: np.ndarray) -> Facts:
    by_step = step_entropies(orders)
    return _measure(by_step.mean(), random_entropy(*orders.shape), by_step)


def _class_entropy(orders: np.ndarray, groups: np.ndarray) -> Facts:
    """The mean over the classes, by their images; `random` is of classes as small."""
    sizes = np.bincount(groups)
    found = np.stack([step_entropies(orders[groups == g]) for g in range(len(sizes))])
    weights = sizes / sizes.sum()
    random = sum(w * random_entropy(int(n), orders.shape[1]) for w, n in zip(weights, sizes, strict=True))
    by_step = weights @ found
    return _measure(by_step.mean(), random, by_step)


def _views(one: OrderSet) -> list[Facts]:
    """Tau of every further view with view 0 of the same images: as it is, and with its columns reversed."""
    table, found = one.table, []
    for view in np.unique(table.view)[1:]:
        firsts, others = table.view == 0, table.view == view
        _, rows, partners = np.intersect1d(
            table.sample_id[firsts], table.sample_id[others], assume_unique=True, return_indices=True
        )
        if len(rows):
            ours, theirs = table.order[firsts][rows], table.order[others][partners].astype(np.int64)
            turned = mirror(torch.from_numpy(theirs), one.grid).numpy()
            found.append(
                {
                    "view": int(view),
                    "tau": float(kendall_tau(ours, theirs).mean()),
                    "tau_mirrored": float(kendall_tau(ours, turned).mean()),
                }
            )
    return found


def pair_facts(sets: Sequence[OrderSet]) -> list[Facts]:
    """Mean tau, with its standard error, of every two sets of one kind and grid with images in common."""
    found = []
    for one, other in combinations(sets, 2):
        if _may_compare(one, other):
            ours, theirs = rows_in_common(one.table, other.table)
            tau = kendall_tau(one.table.order[ours], other.table.order[theirs])
            error = float(tau.std(ddof=1) / np.sqrt(len(tau))) if len(tau) > 1 else float("nan")
            found.append(
                {"sets": [one.name, other.name], "images": len(tau), "tau": float(tau.mean()), "error": error}
            )
    return found


def _may_compare(one: OrderSet, other: OrderSet) -> bool:
    is_like = one.grid == other.grid and (one.store is None) == (other.store is None)
    return is_like and bool(np.isin(one.table.keys, other.table.keys).any())


MEASURES: Mapping[str, str] = {
    "d": "mean step distance d, in cells",
    "entropy": "entropy of the order maps, 0..1",
    "class_entropy": "the same within a class",
    "tau_within": "Kendall's tau of two images of a class",
    "tau_between": "Kendall's tau of two images of two classes",
    "touch": "steps that touch a filled place, from the second",
    "coverage": "filled neighbours in the first eighth of the steps",
    "run_length": "steps in one connected region before the next",
    "quadrant_visits": "visits to each quadrant",
    "background": "background among the first quarter of the steps",
    "recognition": "area under the recognisability curve",
}
