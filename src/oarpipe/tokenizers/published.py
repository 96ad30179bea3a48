"""Published tokenizers: what a file's shapes say of its anatomy, and its names for what our networks hold.

LlamaGen's VQ-16 (Sun et al. 2024) and taming-transformers' VQGANs (Esser et al. 2021) are one network
under two sets of names; MaskGIT's VQGAN (Chang et al. 2022) is another, whose names we kept.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from oarpipe.base.checkpoint_files import check_tensors, read_checkpoint
from oarpipe.base.recognition import appearance, recognise
from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.errors import BadInput
from oarpipe.tokenizers.maskgit import MaskGITAnatomy
from oarpipe.tokenizers.networks import Anatomy, Network, build

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One kind of published file: which names to leave out, how to read its anatomy, how it names ours."""

    left_out: str  # beginnings of names, as a pattern
    anatomy: Callable[[Tensors], Anatomy]
    name: Callable[[str, int], str]  # of one of our names, and the number of levels


def read_published(file: Path, kind: str) -> Network:
    """The tokenizer in a published file, on the CPU in float32.

    `BadInput` says what a file of another kind looks like, or names the tensors that are missing, left
    over or of another shape, as the file names them.
    """
    tensors, layout = read_checkpoint(file), LAYOUTS[kind]
    _recognised(tensors, kind, file)
    tensors = {key: tensor for key, tensor in tensors.items() if not re.match(layout.left_out, key)}
    anatomy = _anatomy(tensors, kind, file)
    network = build(anatomy, "meta")
    ours = network.state_dict()
    theirs = {key: layout.name(key, len(anatomy.multipliers)) for key in ours}
    check_tensors(tensors, {theirs[key]: ours[key].shape for key in ours}, f"{file}: as kind {kind}")
    strange = next((key for key, tensor in tensors.items() if not tensor.is_floating_point()), None)
    if strange is not None:
        raise BadInput(f"{file}: {strange} holds {tensors[strange].dtype}, expected floating-point numbers")
    # Copied, since what was read may be mapped from the file.
    copies = {key: tensors[theirs[key]].to(torch.float32, copy=True) for key in ours}
    network.load_state_dict(copies, assign=True)
    return network.eval().requires_grad_(False)


def kind_of(file: Path) -> str:
    """The kind of tokenizer that a file's names tell; `BadInput` says what it looks like instead."""
    return _recognised(read_checkpoint(file), None, file)


def _recognised(names: Collection[str], wanted: str | None, file: Path) -> str:
    """The kind that is meant; names that tell nothing may still be of the `wanted` one, with some missing."""
    found = recognise(names)
    if found is None and wanted is not None:
        return wanted
    if found is not None and found.table == "tokenizers" and found.kind and wanted in (None, found.kind):
        return found.kind
    expected = f"a tokenizer of kind {wanted}" if wanted else f"a published tokenizer ({', '.join(LAYOUTS)})"
    advice = {"models": "; that is for `oarpipe import-model`", "tokenizers": "; give that `kind`"}
    told = advice.get(found.table or "", "") if found else ""
    raise BadInput(f"{file}: expected {expected}, but it {appearance(names)}{told}")


def _anatomy(tensors: Tensors, kind: str, file: Path) -> Anatomy:
    """What the shapes tell; `BadInput` names a tensor without which they tell nothing."""
    try:
        return LAYOUTS[kind].anatomy(tensors)
    except _Unfit as error:
        raise BadInput(
            f"{file}: not a tokenizer of kind {kind}: {error}; it {appearance(tensors)}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            f"{file}: its shapes describe no tokenizer of kind {kind}: {'.'.join(map(str, first['loc']))} "
            f"would be {first['input']} ({first['msg']})"
        ) from error


def _same(key: str, levels: int) -> str:
    return key


# How taming calls what lies between the pyramid and the codes.
_MIDDLE = {"mid.0": "mid.block_1", "mid.1": "mid.attn_1", "mid.2": "mid.block_2"}


def taming_name(key: str, levels: int) -> str:
    """taming's name of one of ours: its decoder counts levels from high resolution, ours from low."""
    side, _, rest = key.partition(".")
    level = re.match(r"conv_blocks\.(\d+)\.", rest)
    if level is not None:
        number = int(level[1])
        place = f"down.{number}" if side == "encoder" else f"up.{levels - 1 - number}"
        return f"{side}.{place}.{rest[level.end() :].replace('res.', 'block.', 1)}"
    middle = next((m for m in _MIDDLE if rest.startswith(f"{m}.")), None)
    return f"{side}.{_MIDDLE[middle]}{rest[len(middle) :]}" if middle else key


class _Unfit(Exception):
    """A tensor that tells the anatomy is missing or has another number of dimensions."""


def _vqgan(tensors: Tensors, level: str, attention: str, *, normalise: bool) -> VQGANAnatomy:
    width, *_ = _shape(tensors, "encoder.conv_in.weight", 4)
    multipliers, blocks = _pyramid(tensors, level, width)
    codebook, code_dim = _shape(tensors, "quantize.embedding.weight", 2)
    return VQGANAnatomy(
        kind="vqgan",
        stem="strided",
        factor=2 ** (len(multipliers) - 1),
        width=width,
        multipliers=multipliers,
        blocks=blocks,
        attention=attention in tensors,
        code_dim=code_dim,
        codebook=codebook,
        normalise=normalise,
    )


def _llamagen(tensors: Tensors) -> VQGANAnatomy:
    blocks = "encoder.conv_blocks.{level}.res.{block}.conv1.weight"
    return _vqgan(tensors, blocks, "encoder.mid.1.q.weight", normalise=True)


def _taming(tensors: Tensors) -> VQGANAnatomy:
    return _vqgan(tensors, _DOWN, "encoder.mid.attn_1.q.weight", normalise=False)


def _maskgit(tensors: Tensors) -> MaskGITAnatomy:
    width, *_ = _shape(tensors, "encoder.conv_in.weight", 4)
    multipliers, blocks = _pyramid(tensors, _DOWN, width)
    codebook, code_dim = _shape(tensors, "quantize.embedding.weight", 2)
    return MaskGITAnatomy(
        width=width, multipliers=multipliers, blocks=blocks, code_dim=code_dim, codebook=codebook
    )


_DOWN = "encoder.down.{level}.block.{block}.conv1.weight"


def _pyramid(tensors: Tensors, pattern: str, width: int) -> tuple[list[int], int]:
    """The channel multiplier of every level, and the residual blocks of the first."""
    _shape(tensors, pattern.format(level=0, block=0), 4)
    levels, blocks = 1, 1
    while pattern.format(level=levels, block=0) in tensors:
        levels += 1
    while pattern.format(level=0, block=blocks) in tensors:
        blocks += 1
    widths = [_shape(tensors, pattern.format(level=level, block=0), 4)[0] for level in range(levels)]
    return [after // max(width, 1) for after in widths], blocks


def _shape(tensors: Tensors, key: str, dimensions: int) -> tuple[int, ...]:
    if key not in tensors:
        raise _Unfit(f"{key} is missing")
    shape = tuple(tensors[key].shape)
    if len(shape) != dimensions:
        raise _Unfit(f"{key} has {len(shape)} dimensions, expected {dimensions}")
    return shape


LAYOUTS = {
    # a ring buffer of the codes used of late
    "llamagen": Layout(r"quantize\.codebook_used$", _llamagen, _same),
    # the losses' networks in Lightning's checkpoints
    "taming": Layout(r"loss\.", _taming, taming_name),
    "maskgit": Layout(r"(?!)", _maskgit, _same),
}
