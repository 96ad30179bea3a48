"""Finished results folders for stages to read, made of small files instead of hours."""

from pathlib import Path

import numpy as np

from oarpipe.base.files import Stage, write_text
from oarpipe.base.grid import Grid
from oarpipe.config.base import Strict
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig
from oarpipe.config.tokenizers import TokensConfig, VQGANConfig
from oarpipe.config.training import TrainConfig
from oarpipe.data.token_store import TokenStore

GRID = Grid(2, 3)


def finished(table: str, entry: Strict, out: Path, content: str = "weights") -> Path:
    """A results folder whose only file is a text."""
    stage = Stage(Recipe(table, out.name, 0, entry), out)
    write_text(out / "data.txt", content)
    stage.finish("data.txt")
    return out


def tokenizer(out: Path, content: str = "weights") -> Path:
    """A results folder that looks like a tokenizer's."""
    return finished(
        "tokenizers", VQGANConfig(kind="vqgan", dataset="x", train=TrainConfig(steps=1)), out, content
    )


def model(out: Path) -> Path:
    """A results folder that looks like a model's."""
    return finished("models", ModelConfig(tokens="x", train=TrainConfig(steps=1)), out)


def tokens(out: Path, rows: int = 10, views: int = 1) -> Path:
    """A finished token store; every fifth sample is a test image, ids are 3 apart."""
    stage = Stage(Recipe("tokens", out.name, 0, TokensConfig(dataset="x", tokenizer="y")), out)
    store = TokenStore.create(
        out / "tokens.zarr",
        rows=rows,
        grid=GRID,
        codebook=64,
        classes=["zero", "one"],
        views=["original", "flipped"][:views],
        shard=4,
    )
    for i in store.missing():
        span = np.array(store.range_of(i), np.int64)
        codes = (span[:, None, None] + np.arange(views)[:, None] + np.arange(6)) % 64
        store.write_shard(i, codes, span % 2, span * 3, (span % 5 == 0).astype(np.uint8))
    stage.finish("tokens.zarr")
    return out


def orders_recipe(**options: object) -> Recipe[OrdersConfig]:
    """An extraction with the given options."""
    return Recipe(
        "orders", "greedy", 0, OrdersConfig.model_validate({"model": "m", "tokens": "t", **options})
    )


def samples_recipe(**options: object) -> Recipe[SamplesConfig]:
    """A greedy generation with the given options."""
    entry = {"model": "m", "policy": {"select": "greedy"}, **options}
    return Recipe("samples", "greedy", 0, SamplesConfig.model_validate(entry))
