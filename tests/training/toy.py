"""A training run of the smallest size: 12 samples of 3 x 3 codes, each class with its own picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import AnnealConfig, RandomConfig, RuleConfig
from oarpipe.data.batches import TokenBatches
from oarpipe.data.token_store import TokenSet
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import build_source
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.loop import Run

GRID = Grid(3, 3)
CODEBOOK, CLASSES, ROWS = 11, 5, 12
NO_DROPOUT = {"token_dropout": 0.0, "residual_dropout": 0.0, "ffn_dropout": 0.0}
ANNEALED = AnnealConfig(
    kind="anneal",
    start=RandomConfig(),
    to=RuleConfig(kind="rule", name="raster"),
    start_epoch=0.5,
    end_epoch=2,
)


def tokens(rows: int = ROWS) -> TokenSet:
    """Codes that follow from class and position."""
    labels = np.arange(rows) % CLASSES
    return TokenSet(
        tokens=((labels[:, None, None] + np.arange(GRID.positions)) % CODEBOOK).astype(np.int32),
        labels=labels.astype(np.int32),
        sample_ids=np.arange(rows, dtype=np.int64),
        splits=np.zeros(rows, np.uint8),
        grid=GRID,
        codebook=CODEBOOK,
        classes=list("abcde"),
        views=["original"],
    )


def run(folder: Path, *, validate: Any = None, steps: int = 6, **options: Any) -> Run:
    """A fresh run in `folder`; options of the recipe besides `order` and dropouts go to its `train`."""
    anatomy = {"layers": 1, "heads": 2, "width": 16}
    outer = {key: options.pop(key) for key in (*NO_DROPOUT, "class_dropout", "order") if key in options}
    train = {"steps": steps, "batch": 4, "log_every": 1, **options}
    config = ModelConfig.model_validate({"tokens": "toy", "train": train, **anatomy, **outer})
    dropouts = {key: getattr(config, key) for key in NO_DROPOUT}
    model = PositionTokens(grid=GRID, codebook=CODEBOOK, classes=CLASSES, **anatomy, **dropouts)
    model.initialise(0)
    folder.mkdir(parents=True, exist_ok=True)
    return Run(
        name="models/toy",
        model=model,
        batches=TokenBatches(tokens(), batch=config.train.batch, seed=0),
        source=build_source(config.order, GRID, 0),
        config=config,
        seed=0,
        metrics=folder / "metrics.jsonl",
        checkpoints=folder / "state",
        validate=validate,
    )


def lines(of: Run) -> list[dict[str, Any]]:
    """What the run told along the way, without what depends on the clock."""
    timed = ("seconds", "tokens_per_second", "mfu")
    return [
        {key: value for key, value in json.loads(line).items() if key not in timed}
        for line in of.metrics.read_text().splitlines()
    ]


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights."""
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of weights are equal to the last bit."""
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Killed(BaseException):
    """What a kill is to a process: nothing after it happens."""


def saving_at(*steps: int) -> Any:
    """A `Checkpoints.due` that is true after the given steps."""
    count = {"asked": 0}

    def due(self: Checkpoints) -> bool:
        count["asked"] += 1
        return count["asked"] in steps

    return due
