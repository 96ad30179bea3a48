"""Sample sets, studies and answer files for the tests of a study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oarpipe.base.grid import Grid
from oarpipe.base.receipts import Stage
from oarpipe.config.recipe import Recipe
from oarpipe.data.sample_store import SampleStore
from tests.stages.measuring import recipe_of

STUDY = "00112233aabbccdd"


def samples(
    root: Path,
    name: str,
    *,
    count: int = 30,
    resolution: int = 8,
    classes: int = 5,
    first: int = 0,
    book_seed: int = 0,
    images: np.ndarray | None = None,
    **options: Any,
) -> Path:
    """A finished sample set of random images, another set for another name; labels in turn."""
    entry = {
        "model": f"{name}_model",
        "count": count,
        "policy": {"select": "follow", "order": {"kind": "random"}},
        **options,
    }
    recipe = recipe_of("samples", name, entry)
    stage = Stage(Recipe(recipe.table, name, book_seed, recipe.entry), root / name)
    rng = np.random.default_rng(sum(name.encode()))
    if images is None:
        images = rng.integers(0, 256, (count, resolution, resolution, 3), dtype=np.uint8)
    store = SampleStore.create(
        stage.out / "samples.zarr", count=count, resolution=resolution, grid=Grid(2, 2), shard=count
    )
    store.write_shard(
        0,
        images=images,
        tokens=np.zeros((count, 4), np.int64),
        orders=np.tile(np.arange(4), (count, 1)),
        scores=np.zeros((count, 4), np.float32),
        labels=np.arange(count) % classes,
        seeds=np.arange(first, first + count),
    )
    stage.finish("samples.zarr")
    return root / name


def answer(
    item: int, chosen: str, *, kind: str = "pair", left: str | None = None, **facts: Any
) -> dict[str, Any]:
    """One answer as the page writes it; sides alternate."""
    names = ("whole", "degraded") if kind == "check" else ("a", "b")
    side = left or names[item % 2]
    return {"item": item, "kind": kind, "left": side, "chosen": chosen, "seconds": 2.5, "changes": 0, **facts}


def answers(participant: int, given: Sequence[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    """One participant's file."""
    return {
        "kind": "oarpipe preference answers",
        "format": 1,
        "study": STUDY,
        "participant": f"{participant:016x}",
        "asked": len(given),
        "answers": list(given),
        **facts,
    }


def write(folder: Path, participant: int, given: Sequence[dict[str, Any]], **facts: Any) -> Path:
    """The same, written under a name as the page gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"answers-{participant:016x}.json"
    file.write_text(json.dumps(answers(participant, given, **facts)))
    return file
