"""A tokenizer on disk: `tokenizer.safetensors`, and `tokenizer.yaml` that says how to build it.

The description holds the hash of the weights, so a damaged file is noticed before it is used, and where
they are from: the fingerprint of the training behind them, so weights are not trained twice, or the
published file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from oarpipe.base.files import sha256, write_atomically, write_text
from oarpipe.errors import IncompleteData
from oarpipe.tokenizers.networks import Network, build, read_anatomy
from oarpipe.tokenizers.protocol import ImageTokenizer

WEIGHTS = "tokenizer.safetensors"
DESCRIPTION = "tokenizer.yaml"
KEYS = ("anatomy", "resolution", "training", "weights")
SOURCE = "source"


def save_tokenizer(
    model: Network,
    folder: Path,
    *,
    resolution: int | None = None,
    training: str | None = None,
    source: Mapping[str, str] | None = None,
) -> None:
    """Writes both files; `resolution` is that of the training images, `training` the work's fingerprint.

    A published tokenizer has neither, but a `source`: its `kind`, and the `sha256` of its file.
    """
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    write_atomically(folder / WEIGHTS, lambda partial: save_file(tensors, partial))
    description = {
        "anatomy": model.anatomy.model_dump(),
        "resolution": resolution,
        "training": training,
        **({SOURCE: dict(source)} if source is not None else {}),
        "weights": sha256(folder / WEIGHTS),
    }
    write_text(folder / DESCRIPTION, yaml.safe_dump(description, sort_keys=False))


def load_tokenizer(folder: str | Path) -> ImageTokenizer:
    """A folder's tokenizer, ready for use on the CPU; `IncompleteData` names a missing or damaged file."""
    folder = Path(folder)
    description = read_description(folder)
    file = folder / WEIGHTS
    try:
        if sha256(file) != description["weights"]:
            raise IncompleteData(f"{file}: damaged, or not the weights that {DESCRIPTION} describes{_ADVICE}")
        model = build(read_anatomy(description["anatomy"]), "meta")
        # Cloned, since what is read is mapped from the file, which may be replaced while we use it.
        model.load_state_dict({key: tensor.clone() for key, tensor in load_file(file).items()}, assign=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise IncompleteData(f"{file}: missing or damaged ({_line(error)}){_ADVICE}") from error
    except ValidationError as error:
        raise IncompleteData(
            f"{folder / DESCRIPTION}: not a known anatomy ({_line(error)}){_ADVICE}"
        ) from error
    return model.eval().requires_grad_(False)


def read_description(folder: Path) -> dict[str, Any]:
    """tokenizer.yaml: `anatomy`, `resolution`, `training`, `weights`, and `source` if it was published."""
    file = folder / DESCRIPTION
    try:
        description = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise IncompleteData(f"{file}: missing or damaged ({_line(error)}){_ADVICE}") from error
    if not isinstance(description, dict) or set(description) - {SOURCE} != set(KEYS):
        raise IncompleteData(f"{file}: expected the keys {', '.join(KEYS)}{_ADVICE}")
    return description


_ADVICE = "; delete the folder and make it anew (train_tokenizer, or import_tokenizer)"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
