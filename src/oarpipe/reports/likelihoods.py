"""What models made of held-out images, as series over seeds: NLL by order or hole, and classes found."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from oarpipe.reports.intervals import Series, Value, resampled_means
from oarpipe.reports.results import Results

REPLICATES = 1000

# (model, order or hole) or (model, K) -> the number under every seed
Measured = dict[tuple[str, str], Series]


def likelihood_series(results: Results) -> Measured:
    """Held-out NLL a token by (model, order): replicates resample the same images for all of a seed."""
    return _measured({seed: content["models"] for seed, content in results.information.items()}, "nll")


def accuracy_series(results: Results) -> Measured:
    """The share of images whose class was found by likelihood, by (model, number of orders)."""
    classified = {seed: one.get("classification", {}) for seed, one in results.information.items()}
    return _measured(classified, "accuracy")


def _measured(by_seed: Mapping[int, Mapping[str, Any]], number: str) -> Measured:
    series: dict[tuple[str, str], dict[int, Value]] = {}
    for seed, models in by_seed.items():
        facts = {(model, what): one for model, each in models.items() for what, one in each.items()}
        if not facts:
            continue
        columns = np.array([one["per_sample"] for one in facts.values()], dtype=np.float64).T
        replicates = resampled_means(columns, REPLICATES)
        for i, (key, one) in enumerate(facts.items()):
            drawn = tuple(replicates[:, i].tolist())
            series.setdefault(key, {})[seed] = Value(float(one[number]), drawn, len(columns))
    return dict(series)
