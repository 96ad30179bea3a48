"""Distils extracted orders into a model: `train` with the two inputs that the paper's word promises."""

from pathlib import Path

from oarpipe.config.models import ModelConfig
from oarpipe.config.recipe import Recipe
from oarpipe.stages.train import fit_model


def distill(recipe: Recipe[ModelConfig], *, tokens: Path, init: Path, orders: list[Path], out: Path) -> None:
    """Tunes `init` on extracted orders, annealed from random ones if the recipe says so (paper §4.4)."""
    fit_model(recipe, tokens=tokens, init=init, orders=orders, out=out)
