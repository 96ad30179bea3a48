"""Files that are whole or absent: written beside their final name, then renamed; and their hashes."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oarpipe.errors import IncompleteData


def write_atomically(file: Path, write: Callable[[Path], None]) -> None:
    """Calls `write` on a partial name beside `file`, then renames; on failure nothing is left.

    A refusal of the machine (disk full, no permission) is an `OSError` that names `file`, whichever
    library met it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        write(partial)
        if partial.is_file():
            flush(partial)
        os.replace(partial, file)
    except BaseException as error:
        remove(partial)
        number = _error_number(error)
        if number is not None:
            raise OSError(number, os.strerror(number), str(file)) from error
        raise


def flush(file: Path) -> None:
    """Waits until a file is on the disk."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())


def _error_number(error: BaseException) -> int | None:
    """The system's number of an error: Python's own, or from the text of a library written in Rust."""
    if isinstance(error, OSError):
        return error.errno
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None


def write_text(file: Path, text: str) -> None:
    """`write_atomically` for text."""

    def write(partial: Path) -> None:
        partial.write_text(text)

    write_atomically(file, write)


def write_json(file: Path, content: Any) -> None:
    """`write_atomically` for JSON, with sorted keys."""
    write_text(file, json.dumps(content, indent=1, sort_keys=True) + "\n")


def read_json(file: Path) -> Any:
    """A JSON file; `IncompleteData` if it is missing or broken."""
    try:
        return json.loads(file.read_text())
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IncompleteData(f"{file}: missing or broken ({error}); delete it and run again") from error


def write_sealed(file: Path, content: Any) -> None:
    """`write_json` with a hash, for numbers in unfinished work: no receipt guards them yet."""
    write_json(file, {"sha256": hash_of(content), "content": content})


def read_sealed(file: Path) -> Any:
    """What `write_sealed` wrote; `IncompleteData` if the file is missing or altered."""
    sealed = read_json(file)
    if not isinstance(sealed, dict) or hash_of(sealed.get("content")) != sealed.get("sha256"):
        raise IncompleteData(f"{file}: damaged, it is not what was written; delete it and run again")
    return sealed["content"]


def remove(path: Path) -> None:
    """Deletes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sha256(file: Path) -> str:
    """The content's hash, in hex."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def hash_of(content: Any) -> str:
    """A hash of plain data, the same for equal data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
