"""Small .npy and .npz files, a million of them: one read a file, equal headers parsed once, no pickles."""

import ast
import io
import math
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from oarpipe.errors import BadInput, IncompleteData

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # by version of the format


def read_npy(file: str | Path) -> np.ndarray:
    """The array in an .npy file; `BadInput` or `IncompleteData` names a file that is none."""
    try:
        with open(file, "rb", buffering=0) as handle:
            content = handle.read()
    except FileNotFoundError as error:
        raise IncompleteData(f"{file}: no such file") from error
    return parse_npy(content, str(file))


def read_npz(file: str | Path, names: Sequence[str]) -> list[np.ndarray]:
    """The named arrays of an .npz file; `BadInput` or `IncompleteData` names the file."""
    try:
        with zipfile.ZipFile(io.BytesIO(Path(file).read_bytes())) as archive:
            found = set(archive.namelist())
            lacking = [name for name in names if f"{name}.npy" not in found]
            if lacking:
                held = ", ".join(sorted(name.removesuffix(".npy") for name in found))
                raise BadInput(f"{file}: no array '{lacking[0]}' (it holds {held or 'none'})")
            return [parse_npy(archive.read(f"{name}.npy"), f"{file}:{name}") for name in names]
    except FileNotFoundError as error:
        raise IncompleteData(f"{file}: no such file") from error
    except zipfile.BadZipFile as error:
        raise IncompleteData(f"{file}: not an .npz file, or cut short ({error}); fetch it again") from error


def parse_npy(content: bytes, name: str) -> np.ndarray:
    """The array that the bytes of an .npy file hold, read-only; `name` is the file's, for messages."""
    if content[:6] != _MAGIC or len(content) < 12 or content[6] not in _LENGTH_BYTES:
        raise IncompleteData(f"{name}: not an .npy file, or cut short; fetch it again")
    body = 8 + _LENGTH_BYTES[content[6]]
    start = body + int.from_bytes(content[8:body], "little")
    header = _header(content[body:start])
    if header is None:
        raise IncompleteData(f"{name}: its .npy header cannot be read; fetch it again")
    dtype, shape, is_fortran = header
    if dtype.hasobject:
        raise BadInput(f"{name}: holds pickled objects, which are never read; expected plain numbers")
    size = dtype.itemsize * math.prod(shape)
    if len(content) != start + size:
        raise IncompleteData(
            f"{name}: has {len(content) - start} bytes of values, expected {size}; fetch it again"
        )
    values = np.frombuffer(content, dtype, offset=start)
    return values.reshape(shape, order="F" if is_fortran else "C")


@lru_cache(maxsize=256)
def _header(text: bytes) -> tuple[np.dtype, tuple[int, ...], bool] | None:
    """Type, shape and whether columns come first; None for what is no header."""
    try:
        facts = ast.literal_eval(text.decode("latin1").strip())
        shape = tuple(int(size) for size in facts["shape"])
        return np.dtype(facts["descr"]), shape, bool(facts["fortran_order"])
    except (ValueError, SyntaxError, KeyError, TypeError):
        return None


def write_npy(file: Path, values: np.ndarray) -> None:
    """What `np.save` writes, byte for byte."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, values, allow_pickle=False)
    file.write_bytes(buffer.getvalue())
