"""Published models in their authors' files: RandAR's and LlamaGen's class-conditional ones.

The parameters here carry the published names, so a file is understood if its names and shapes are those
of a model of some size. Two sizes are not in the file: the number of heads, and the grid, of which
only the rotary table knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from oarpipe.base.checkpoint_files import check_tensors, read_checkpoint
from oarpipe.base.files import write_atomically
from oarpipe.base.grid import Grid
from oarpipe.base.recognition import appearance, recognise
from oarpipe.errors import BadInput
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.token_model import TokenModel
from oarpipe.models.weights import WEIGHTS, read_anatomy

PUBLISHED: dict[str, type[TokenModel]] = {"randar": PositionTokens, "llamagen": NextToken}
HEAD_WIDTH = 64
# Published sizes (layers, width) with other heads: LlamaGen's 3B and 7B.
PUBLISHED_HEADS = {(24, 3200): 32, (32, 4096): 32}
SUFFIXES = (".safetensors", ".pt")


@dataclass(frozen=True)
class PublishedModel:
    """What a file holds: the model, on the meta device, and its weights as they are in the file."""

    kind: str
    model: TokenModel
    weights: dict[str, Tensor]

    def __str__(self) -> str:
        """`randar: 24 layers, width 1024, 16 heads, …`."""
        model, dtypes = self.model, {str(t.dtype).removeprefix("torch.") for t in self.weights.values()}
        return (
            f"{self.kind}: {len(model.layers)} layers, width {model.width}, {model.heads} heads, "
            f"{model.codebook} codes, {model.classes} classes, grid {model.grid}, "
            f"{sum(t.numel() for t in self.weights.values()):,} parameters in {', '.join(sorted(dtypes))}"
        )


def read_model(
    file: Path, *, kind: str | None = None, heads: int | None = None, grid: Grid | None = None
) -> PublishedModel:
    """A published file's model; `kind` is recognised, heads are 64 wide and the grid is 16x16 if not given.

    `BadInput` says what a file of another kind looks like, and names every key that is not as it should be.
    """
    weights = {_plain(key): tensor for key, tensor in read_checkpoint(file).items()}
    kind = _kind(weights, kind, file)
    layers, width, codebook, classes = _sizes(weights, file)
    with torch.device("meta"):
        model = PUBLISHED[kind](
            grid=grid or Grid(16, 16),
            codebook=codebook,
            classes=classes,
            layers=layers,
            heads=_heads(layers, width, heads, file),
            width=width,
        )
    _check(weights, model, f"{file}: as {kind} of width {width} with {layers} layers")
    return PublishedModel(kind, model, weights)


def write_model(folder: Path, file: Path) -> TokenModel:
    """Writes a model folder's weights as published, flat or, in a .pt, below `model`; returns the anatomy."""
    if file.suffix not in SUFFIXES:
        raise BadInput(f"{file}: published models are {' or '.join(SUFFIXES)}; give --out such a name")
    model = read_anatomy(folder)
    weights = read_checkpoint(folder / WEIGHTS)
    _check(weights, model, str(folder / WEIGHTS))
    if file.suffix == ".safetensors":
        write_atomically(file, lambda partial: save_file(weights, partial))
    else:
        write_atomically(file, lambda partial: torch.save({"model": weights}, partial))
    return model


def _plain(key: str) -> str:
    """A name without what data-parallel wrappers and compilers put before it."""
    return key.removeprefix("module.").removeprefix("_orig_mod.")


def _kind(weights: Mapping[str, Tensor], wanted: str | None, file: Path) -> str:
    """Which of the importable models it is; `BadInput` says what it is instead."""
    found = recognise(weights)
    if found is None or found.table != "models" or wanted not in (None, found.kind):
        advice = {"models": "give --kind {}", "tokenizers": "that is for `oarpipe import-tokenizer`"}
        what = f"{wanted} model" if wanted else f"model of {' or '.join(PUBLISHED)}"
        told = f"; {advice[found.table].format(found.kind)}" if found and found.table else ""
        raise BadInput(f"{file}: {appearance(weights)}, expected a {what}{told}")
    assert found.kind is not None
    return found.kind


def _sizes(weights: Mapping[str, Tensor], file: Path) -> tuple[int, int, int, int]:
    """Layers, width, codebook and classes, from the shapes."""
    tables = ("tok_embeddings.weight", "cls_embedding.embedding_table.weight")
    missing = [key for key in tables if key not in weights or weights[key].ndim != 2]
    numbers = {key.split(".")[1] for key in weights if key.startswith("layers.")}
    layers = 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)
    if missing or not layers:
        raise BadInput(f"{file}: without {(missing or ['layers.0'])[0]}, its sizes cannot be told")
    codebook, width = weights[tables[0]].shape
    return layers, width, codebook, len(weights[tables[1]]) - 1


def _heads(layers: int, width: int, given: int | None, file: Path) -> int:
    usual = 0 if width % HEAD_WIDTH else width // HEAD_WIDTH
    heads = PUBLISHED_HEADS.get((layers, width), usual) if given is None else given
    if heads < 1 or width % (4 * heads):
        each = f"heads of {HEAD_WIDTH} channels" if given is None else f"{heads} heads"
        raise BadInput(
            f"{file}: width {width} cannot be cut into {each}, each of a multiple of 4 channels; "
            "how many heads there are is not in the file: give --heads (`heads:` in a book)"
        )
    return heads


def _check(weights: Mapping[str, Tensor], model: TokenModel, what: str) -> None:
    """`BadInput` unless names and shapes are the model's, and the values are floating-point numbers."""
    check_tensors(weights, {key: tensor.shape for key, tensor in model.state_dict().items()}, what)
    strange = next((key for key, tensor in weights.items() if not tensor.is_floating_point()), None)
    if strange is not None:
        raise BadInput(f"{what}: {strange} holds {weights[strange].dtype}, expected floating-point numbers")
