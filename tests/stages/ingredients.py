"""Finished results folders for stages to read, made of small files instead of hours."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from oarpipe.base.files import write_text
from oarpipe.base.grid import Grid
from oarpipe.base.receipts import Stage, checked
from oarpipe.config.base import Strict
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SamplesConfig
from oarpipe.config.tokenizers import TokensConfig, VQGANConfig
from oarpipe.config.training import TrainConfig
from oarpipe.data.token_store import TokenStore
from oarpipe.models import save_model
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.tokenizers.folder import save_tokenizer
from oarpipe.tokenizers.vqgan import VQGAN
from tests.conftest import published_weights

GRID = Grid(2, 3)
SQUARE = Grid(3, 3)  # of 12 pixels under `real_tokenizer`
CODEBOOK, CLASSES = 64, ["zero", "one"]


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


def real_tokenizer(out: Path, codebook: int = CODEBOOK, *, seed: int = 0) -> Path:
    """A finished VQGAN without training, four pixels a token."""
    config = VQGANConfig(
        kind="vqgan",
        dataset="x",
        width=8,
        blocks=0,
        code_dim=4,
        codebook=codebook,
        train=TrainConfig(steps=1),
    )
    stage = Stage(Recipe("tokenizers", out.name, 0, config), out)
    torch.manual_seed(seed)
    save_tokenizer(VQGAN(config.anatomy()), out, resolution=12, training="none")
    stage.finish("tokenizer.safetensors", "tokenizer.yaml")
    return out


def real_model(out: Path, tokens: Path, *, scale: float = 1.0) -> Path:
    """A finished model of a token store, with random weights; `scale` changes its answers."""
    grid = TokenStore.open(tokens / "tokens.zarr").grid
    network = PositionTokens(grid=grid, codebook=CODEBOOK, classes=len(CLASSES), layers=1, heads=2, width=16)
    network.load_state_dict({key: scale * value for key, value in published_weights(network).items()})
    recipe = Recipe("models", out.name, 0, ModelConfig(tokens=tokens.name, train=TrainConfig(steps=1)))
    stage = Stage(recipe, out, inputs={"tokens": checked(tokens, "tokens")})
    save_model(out, network)
    stage.finish("model.safetensors", "model.yaml")
    return out


def tokens(
    out: Path,
    rows: int = 10,
    views: int = 1,
    *,
    grid: Grid = GRID,
    test_every: int = 5,
    first: int = 0,
    tokenizer: Path | None = None,
) -> Path:
    """A finished token store; every fifth sample is a test image, ids are 3 apart, codes begin at `first`."""
    inputs = {"tokenizer": checked(tokenizer, "tokenizers")} if tokenizer else {}
    recipe = Recipe("tokens", out.name, 0, TokensConfig(dataset="x", tokenizer="y"))
    stage = Stage(recipe, out, inputs=inputs)
    store = TokenStore.create(
        out / "tokens.zarr",
        rows=rows,
        grid=grid,
        codebook=CODEBOOK,
        classes=CLASSES,
        views=["original", "flipped"][:views],
        shard=4,
    )
    for i in store.missing():
        span = np.array(store.range_of(i), np.int64)
        codes = (
            first + span[:, None, None] + np.arange(views)[:, None] + np.arange(grid.positions)
        ) % CODEBOOK
        store.write_shard(i, codes, span % 2, span * 3, (span % test_every == 0).astype(np.uint8))
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


def model_recipe(name: str = "any", *, steps: int = 6, **options: Any) -> Recipe[ModelConfig]:
    """A small model of `ingredients.tokens`; options besides `order` and `init` go to its `train`."""
    outer = {key: options.pop(key) for key in ("order", "init") if key in options}
    train = {"steps": steps, "batch": 4, "log_every": 1, **options}
    entry = {"tokens": "t", "layers": 1, "heads": 2, "width": 16, "train": train, **outer}
    return Recipe("models", name, 0, ModelConfig.model_validate(entry))


def words(verb: str, recipe: Recipe[Any], **flags: object) -> list[str]:
    """The command line of a stage: its recipe is written beside the folder `out`."""
    out = flags["out"]
    assert isinstance(out, Path)
    file = out.parent / recipe.file_name()
    file.write_text(recipe.text())
    said = [verb, "--recipe", str(file)]
    for name, value in flags.items():
        said += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return said


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
