"""Finished ingredients of an evaluation, made without the stages that usually make them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from oarpipe.base.files import remove, write_json
from oarpipe.base.grid import Grid
from oarpipe.base.receipts import Receipt, Stage
from oarpipe.config.recipe import Recipe
from oarpipe.config.tables import validate_entry
from oarpipe.data.indexing import examine
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.sources.digits import DigitsSource
from oarpipe.metrics.classifier import Classifier, save_classifier

RESOLUTION = 12
GRID = Grid(2, 2)
DIGITS = {"kind": "digits", "resolution": RESOLUTION}
NETWORK = {"kind": "classifier", "dataset": "digits", "channels": 4, "dimensions": 6}


def recipe_of(table: str, name: str, raw: dict[str, Any]) -> Recipe[Any]:
    """A recipe under seed 0."""
    entry, problems = validate_entry(table, name, raw)
    assert entry is not None, problems
    return Recipe(table, name, 0, entry)


def make_dataset(root: Path) -> Receipt:
    """scikit-learn's digits, indexed."""
    stage = Stage(recipe_of("datasets", "digits", DIGITS), root / "datasets" / "digits")
    examine(DigitsSource()).index.write(stage.out / "index.parquet")
    return stage.finish("index.parquet")


def make_network(root: Path, *, seed: int = 0) -> Receipt:
    """An untrained classifier of digits."""
    stage = Stage(recipe_of("features", "digits", NETWORK), root / "features" / "digits")
    torch.manual_seed(seed)
    shape = {"resolution": RESOLUTION, "channels": 4, "dimensions": 6}
    network = Classifier(**shape, num_classes=10)
    description = {"kind": "classifier", **shape, "classes": list("0123456789"), "test_accuracy": 0.5}
    save_classifier(network, stage.out, description)
    return stage.finish("classifier.safetensors", "classifier.yaml")


def make_samples(
    root: Path, name: str, *, seed: int = 0, count: int = 30, temperature: float = 1.0
) -> Receipt:
    """Random images in random orders."""
    entry = {
        "model": f"{name}_model",
        "count": count,
        "temperature": temperature,
        "policy": {"select": "follow", "order": {"kind": "random"}},
    }
    stage = Stage(recipe_of("samples", name, entry), root / "samples" / name)
    _write_store(stage.out / "samples.zarr", count, seed)
    return stage.finish("samples.zarr")


def make_best(root: Path, arm: str, *, search: str = "best", seed: int = 9, count: int = 30) -> Receipt:
    """The best set of a search that tried two temperatures on ten images each."""
    entry = {
        "samples": [arm],
        "temperatures": [0.8, 1.0],
        "count": 10,
        "dataset": "digits",
        "features": "digits",
    }
    stage = Stage(recipe_of("searches", search, entry), root / "searches" / search / arm)
    _write_store(stage.out / "samples.zarr", count, seed)
    best = {"temperature": 0.8, "guidance": 1.0, "value": 1.5}
    content = {"arm": arm, "split": "test", "count": 10, "metric": "fd[digits]", "grid": [best], "best": best}
    write_json(stage.out / "search.json", content)
    return stage.finish("samples.zarr", "search.json")


def _write_store(path: Path, count: int, seed: int) -> None:
    remove(path)
    rng = np.random.default_rng(seed)
    store = SampleStore.create(path, count=count, resolution=RESOLUTION, grid=GRID, shard=count)
    store.write_shard(
        0,
        images=rng.integers(0, 256, (count, RESOLUTION, RESOLUTION, 3), dtype=np.uint8),
        tokens=np.zeros((count, 4), np.int64),
        orders=rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1),
        scores=np.zeros((count, 4), np.float32),
        labels=np.arange(count) % 10,
        seeds=np.arange(count),
    )
