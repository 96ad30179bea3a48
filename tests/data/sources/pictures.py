"""Small pictures for tests of datasets, each of one colour that tells it apart."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from oarpipe.config.datasets import DatasetConfig
from oarpipe.data.images import ImageSource
from oarpipe.data.indexing import examine
from oarpipe.data.sources import open_source


def encoded(value: int, form: str = "PNG", size: tuple[int, int] = (20, 16)) -> bytes:
    """An image whose pixels are all (value, 0, 255 - value)."""
    stream = io.BytesIO()
    Image.new("RGB", size, (value, 0, 255 - value)).save(stream, form)
    return stream.getvalue()


def paint(file: Path, value: int) -> None:
    """Such an image as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(value, "JPEG" if file.suffix.lower() in (".jpg", ".jpeg") else "PNG"))


def paint_all(folder: Path, values: Mapping[str, int]) -> None:
    """Several, by their paths."""
    for name, value in values.items():
        paint(folder / name, value)


def opened(config: DatasetConfig) -> ImageSource:
    """The images of a dataset, all of which must be usable."""
    source = open_source(config)
    found = examine(source)
    assert not found.rejected
    return ImageSource(found.index, 8, source)


def reds(source: ImageSource) -> list[int]:
    """The red value of every image, in the order of the index."""
    return source.load(np.arange(len(source.index)))[:, 3, 3, 0].tolist()


def tar(members: Mapping[str, bytes], form: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def class_tars(values: Mapping[str, int]) -> dict[str, bytes]:
    """A tar a class of such images as JPEG, by name; the values are by class/name."""
    images: dict[str, dict[str, bytes]] = {}
    for path, value in values.items():
        name, file = path.split("/")
        images.setdefault(f"{name}.tar", {})[file] = encoded(value, "JPEG")
    return {name: tar(members) for name, members in images.items()}
