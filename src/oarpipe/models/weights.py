"""Models in folders: `model.safetensors` beside `model.yaml`, strict both ways."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from oarpipe.base.files import write_atomically, write_text
from oarpipe.base.grid import Grid
from oarpipe.config.training import Precision
from oarpipe.errors import IncompleteData
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.positions import rotary_table
from oarpipe.models.token_model import TokenModel

WEIGHTS, ANATOMY = "model.safetensors", "model.yaml"
KINDS: dict[str, type[TokenModel]] = {cls.kind: cls for cls in (PositionTokens, NextToken)}


def save_model(
    folder: Path,
    model: TokenModel,
    *,
    weights: Mapping[str, Tensor] | None = None,
    source: Mapping[str, str] | None = None,
) -> None:
    """Writes weights and anatomy, each atomically.

    `weights` stand in for the model's own; `source` tells the published file that they are from.
    """
    named = model.state_dict() if weights is None else weights
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in named.items()}
    write_atomically(folder / WEIGHTS, lambda file: save_file(tensors, file))
    anatomy: dict[str, Any] = {
        "kind": model.kind,
        "grid": [model.grid.height, model.grid.width],
        "codebook": model.codebook,
        "classes": model.classes,
        "layers": len(model.layers),
        "heads": model.heads,
        "width": model.width,
    }
    if source is not None:
        anatomy["source"] = dict(source)
    write_text(folder / ANATOMY, yaml.safe_dump(anatomy, sort_keys=False))


def load_model(
    folder: str | Path, device: torch.device | str = "cpu", precision: Precision = "float32"
) -> TokenModel:
    """A model that was trained or imported, in evaluation mode; `IncompleteData` names what is wrong.

    In bfloat16 it is for walks: weights and activations are, rotations and logits stay float32.
    """
    folder = Path(folder)
    model = read_anatomy(folder)
    model.rotary = rotary_table(model.grid, model.width // model.heads).float()
    load_weights(model, folder)
    if precision == "bfloat16":
        rotary = model.rotary
        model.bfloat16().rotary = rotary
    return model.to(device).eval()


def read_anatomy(folder: Path) -> TokenModel:
    """A folder's model on the meta device: its sizes and names, without weights."""
    try:
        anatomy: dict[str, Any] = yaml.safe_load((folder / ANATOMY).read_text())
        kind, (height, width) = anatomy.pop("kind"), anatomy.pop("grid")
        anatomy.pop("source", None)
        if kind not in KINDS:
            raise ValueError(f"kind is {kind}, not one of {', '.join(KINDS)}")
        with torch.device("meta"):
            return KINDS[kind](grid=Grid(height, width), **anatomy)
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise IncompleteData(f"{folder / ANATOMY}: not a model's description ({error})") from error


def load_weights(model: TokenModel, folder: Path) -> None:
    """Gives `model` a folder's weights; every missing, unexpected or mis-shaped key is named."""
    file = folder / WEIGHTS
    try:
        weights = {key: tensor.to(torch.float32, copy=True) for key, tensor in load_file(file).items()}
        model.load_state_dict(weights, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise IncompleteData(f"{file}: cannot be loaded ({' '.join(str(error).split())[:300]})") from error
