"""Models in folders: `model.safetensors` beside `model.yaml`, strict both ways."""

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from oarpipe.base.files import write_atomically, write_text
from oarpipe.base.grid import Grid
from oarpipe.errors import IncompleteData
from oarpipe.models.position_tokens import PositionTokens

WEIGHTS, ANATOMY = "model.safetensors", "model.yaml"


def save_model(folder: Path, model: PositionTokens) -> None:
    """Writes weights and anatomy, each atomically."""
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in model.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda file: save_file(tensors, file))
    anatomy = {
        "kind": "position_tokens",
        "grid": [model.grid.height, model.grid.width],
        "codebook": model.codebook,
        "classes": model.classes,
        "layers": len(model.layers),
        "heads": model.heads,
        "width": model.width,
    }
    write_text(folder / ANATOMY, yaml.safe_dump(anatomy, sort_keys=False))


def load_model(folder: str | Path, device: torch.device | str = "cpu") -> PositionTokens:
    """A model made by `train` or `distill`, in evaluation mode; `IncompleteData` names what is wrong."""
    folder = Path(folder)
    try:
        anatomy: dict[str, Any] = yaml.safe_load((folder / ANATOMY).read_text())
        height, width = anatomy.pop("grid")
        if anatomy.pop("kind") != "position_tokens":
            raise ValueError("kind is not position_tokens")
        model = PositionTokens(grid=Grid(height, width), **anatomy)
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
    load_weights(model, folder)
    return model.to(device).eval()


def load_weights(model: PositionTokens, folder: Path) -> None:
    """Copies a folder's weights into `model`; every missing, unexpected or mis-shaped key is named."""
    file = folder / WEIGHTS
    try:
        model.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise IncompleteData(f"{file}: cannot be loaded ({' '.join(str(error).split())[:300]})") from error
