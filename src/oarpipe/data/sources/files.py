"""Files of encoded images: how they are found, read and named."""

import os
from abc import ABC, abstractmethod
from pathlib import Path

from PIL import Image

from oarpipe.data.pictures import decode
from oarpipe.data.sources.listing import Place
from oarpipe.errors import BadInput

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


class EncodedFiles(ABC):
    """The part of a source that is the same wherever images lie encoded: in files, or within archives."""

    @abstractmethod
    def file(self, place: Place) -> Path:
        """The file that holds an image."""

    def content(self, place: Place) -> bytes:
        """The image's bytes."""
        return read_at(self.file(place), place.offset, place.size)

    def picture(self, place: Place, content: bytes) -> Image.Image:
        """The decoded image."""
        return decode(content)

    def where(self, place: Place) -> str:
        """The file's path."""
        return str(self.file(place))


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image, and not a hidden one."""
    return Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def read_at(file: Path, offset: int, size: int) -> bytes:
    """`size` bytes of a file; an `OSError` if it cannot be read or ends before them."""
    with file.open("rb") as handle:
        handle.seek(offset)
        content = handle.read(size)
    if len(content) != size:
        raise OSError(None, f"it ends after {offset + len(content)} bytes, expected {offset + size}")
    return content


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, sorted by name; `BadInput` if it is not there or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise BadInput(f"{folder}: no such folder; set the dataset's `path` to one that is there") from error
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read ({error.strerror}); make the folder readable") from error
    for entry in found:
        check_name(entry.name, folder)
    return found


def check_name(name: str, where: Path) -> None:
    """`BadInput` if a name is no text, which no table could hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: the name {name!a} is not UTF-8; rename it") from error


def size_of(entry: os.DirEntry[str]) -> int:
    """The file's size; 0 for a link that leads nowhere, which will be rejected when it is read."""
    try:
        return entry.stat().st_size
    except OSError:
        return 0
