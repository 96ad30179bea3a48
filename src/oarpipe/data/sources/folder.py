"""Images in folders: one folder a class."""

from collections.abc import Iterator
from pathlib import Path

from oarpipe.config.datasets import FolderConfig
from oarpipe.data.sources.files import SUFFIXES, EncodedFiles, is_image, scan, size_of
from oarpipe.data.sources.listing import Found, Listing, Place, arrange, check_test_classes
from oarpipe.errors import BadInput


class FolderSource(EncodedFiles):
    """A folder of class folders, sorted by class and name; test images may lie in another."""

    def __init__(self, config: FolderConfig) -> None:
        self._roots = {"train": Path(config.path), "test": Path(config.test_path or config.path)}
        self._has_tests = config.test_path is not None
        self._test_every = config.test_every

    def listing(self) -> Listing:
        """Every image below the class folders."""
        ignored: list[tuple[str, str]] = []
        found = list_classes(self._roots["train"], "train" if self._has_tests else None, ignored)
        if self._has_tests:
            tests = list_classes(self._roots["test"], "test", ignored)
            check_test_classes(found, tests, self._roots["test"])
            found += tests
        return arrange(found, test_every=self._test_every, ignored=ignored)

    def file(self, place: Place) -> Path:
        """Below the folder of the image's split."""
        return self._roots[place.split if self._has_tests else "train"] / place.path


def list_classes(folder: Path, split: str | None, ignored: list[tuple[str, str]]) -> list[Found]:
    """The images below the class folders; other files join `ignored`. `BadInput` if a class has none."""
    classes = []
    for entry in scan(folder):
        if entry.is_dir():
            if not entry.name.startswith("."):
                classes.append(entry.name)
        else:
            ignored.append((entry.name, "lies in no class's folder"))
    found = []
    for name in classes:
        images = sorted(_below(folder, name, split, ignored), key=lambda image: image.path.split("/"))
        found.append(images)
    if not any(found):
        suffixes = ", ".join(sorted(SUFFIXES))
        raise BadInput(f"{folder}: no images; expected {folder}/CLASS/NAME with one of {suffixes}")
    for name, images in zip(classes, found, strict=True):
        if not images:
            raise BadInput(
                f"{folder / name}: no images, but every folder here is a class; fill it or remove it"
            )
    return [image for images in found for image in images]


def _below(root: Path, folder: str, split: str | None, ignored: list[tuple[str, str]]) -> Iterator[Found]:
    """The images of one class, at any depth."""
    for entry in scan(root / folder):
        path = f"{folder}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _below(root, path, split, ignored)
        elif is_image(entry.name):
            yield Found(path, size_of(entry), folder.partition("/")[0], split)
        else:
            ignored.append((path, "not an image by its name"))
