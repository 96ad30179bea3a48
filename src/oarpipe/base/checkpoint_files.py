"""Reads the files that published weights come in, and compares their names and shapes with what is expected.

Nothing of a file is executed: safetensors hold only tensors, and of PyTorch's pickles only tensors and
plain containers are admitted.
"""

import pickle
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from oarpipe.errors import BadInput, IncompleteData

# What a training script puts around the weights: LlamaGen's three, of which Lightning has the last.
WRAPPERS = ("model", "module", "state_dict")
NAMED_AT_MOST = 4  # keys in one message


def read_checkpoint(file: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` or PyTorch file by their published names, on the CPU, unwrapped.

    `IncompleteData` names a missing or truncated file, `BadInput` one that holds other things than tensors.
    """
    if not file.is_file():
        raise IncompleteData(f"{file}: no such file of weights")
    if file.suffix == ".safetensors":
        try:
            return load_file(file)
        except SafetensorError as error:
            raise IncompleteData(f"{file}: {_DAMAGED} ({_line(error)})") from error
    return _unwrapped(_unpickled(file), file)


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, torch.Size], what: str) -> None:
    """`BadInput` names the keys that are missing, unexpected or of another shape; `what` begins it."""
    missing = [key for key in expected if key not in found]
    strange = [key for key in found if key not in expected]
    misshapen = [
        f"{key} is {_shape(found[key].shape)}, expected {_shape(shape)}"
        for key, shape in expected.items()
        if key in found and found[key].shape != shape
    ]
    problems = [
        f"{len(keys)} {kind}: {_some(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", strange), ("of another shape", misshapen))
        if keys
    ]
    if problems:
        raise BadInput(f"{what}: of its {len(expected)} tensors {'; '.join(problems)}")


def _unpickled(file: Path) -> Any:
    try:
        # Mapped into memory, an optimiser's state beside the weights is never read.
        return torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except _UNREADABLE as error:
        strangers = _strangers(file)
        if not strangers:
            raise IncompleteData(f"{file}: {_DAMAGED} ({_line(error)})") from error
        raise BadInput(
            f"{file}: holds pickled objects besides tensors ({_some(strangers)}), which may execute code and "
            "are not loaded; if you trust the file, keep only its weights, where the packages behind the "
            f"objects are installed: {_conversion(file)}"
        ) from error


def _conversion(file: Path) -> str:
    """The command that leaves the pickled objects out."""
    kept = f"{file.stem}.weights.pt"
    code = (
        f"import torch; whole = torch.load({str(file)!r}, map_location='cpu', weights_only=False); "
        f"torch.save({{key: whole[key] for key in {WRAPPERS} if key in whole}}, {kept!r})"
    )
    return f"python -c {shlex.quote(code)}"


def _strangers(file: Path) -> list[str]:
    """The names that the file's pickle would import, besides those of tensors; none if it is no archive."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except _UNREADABLE:
        return []


def _unwrapped(content: Any, file: Path) -> dict[str, Tensor]:
    """The named tensors, at the top or below the wrappers."""
    if not isinstance(content, dict):
        raise BadInput(f"{file}: expected tensors by name, got a {type(content).__name__}")
    inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), None)
    if inner is not None:
        return _unwrapped(inner, file)
    strange = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if strange or not content:
        raise BadInput(
            f"{file}: expected tensors by name, at the top or under {', '.join(WRAPPERS)}; "
            + (f"got other things: {_some(strange)}" if strange else "it is empty")
        )
    return content


_UNREADABLE = (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError)  # torch's, of bad files
_DAMAGED = "truncated, damaged or no file of weights; fetch it anew"


def _some(keys: Sequence[str]) -> str:
    more = len(keys) - NAMED_AT_MOST
    return ", ".join(keys[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
