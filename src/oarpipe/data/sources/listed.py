"""Images in a folder that a table lists, with labels or with captions."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from oarpipe.config.datasets import CaptionsConfig, ListConfig
from oarpipe.data.sources.files import SUFFIXES, EncodedFiles, is_image, scan
from oarpipe.data.sources.listing import UNLABELLED, Found, Listing, Place, arrange, check_test_classes
from oarpipe.data.sources.tables import Table, read_captions, read_labels
from oarpipe.errors import BadInput, nearest

SPLIT_WORDS = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
IMAGE_COLUMNS = ("image", "path", "file", "filename", "id")
LABEL_COLUMNS = ("label", "class", "articleType")
CAPTION_COLUMNS = ("captions", "caption", "text", "productDisplayName")


class _FilesBesideATable(EncodedFiles):
    """Images in one folder, by the names that a table gives them."""

    def __init__(self, images: Path) -> None:
        self._images = images
        self._names: dict[str, str] | None = None

    def file(self, place: Place) -> Path:
        """Below the folder of the images; a path from the root stays what it is."""
        return self._images / place.path

    def _find(self, name: str) -> tuple[str, int]:
        """A file and its size; the suffix may be left out. An `OSError` if it is not there."""
        if Path(name).suffix.lower() not in SUFFIXES:
            if self._names is None:
                self._names = {Path(e.name).stem: e.name for e in scan(self._images) if is_image(e.name)}
            name = self._names.get(name, name)
        return name, (self._images / name).stat().st_size


class ListSource(_FilesBesideATable):
    """Path and label, and a split if wanted, one image a line."""

    def __init__(self, config: ListConfig) -> None:
        super().__init__(Path(config.images) if config.images else Path(config.path).parent)
        self._config = config

    def listing(self) -> Listing:
        """Every image of the list, in its order."""
        rejected: list[tuple[str, str]] = []
        has_tests = self._config.test_path is not None
        found = list(self._found(Path(self._config.path), "train" if has_tests else None, rejected))
        if self._config.test_path is not None:
            tests = list(self._found(Path(self._config.test_path), "test", rejected))
            check_test_classes(found, tests, self._config.test_path)
            found += tests
        _check_listed_once(found, self._config.path)
        return arrange(found, test_every=self._config.test_every, may_number=True, rejected=rejected)

    def _found(self, file: Path, split: str | None, rejected: list[tuple[str, str]]) -> Iterator[Found]:
        table = read_labels(file)
        for line, row in table.rows:
            try:
                name, size = self._find(row["path"])
            except OSError as error:
                rejected.append((row["path"], f"cannot be read ({error.strerror})"))
                continue
            yield Found(name, size, row["label"], split or _split_word(row.get("split"), file, line))
        rejected.extend(table.rejected)


class CaptionsSource(_FilesBesideATable):
    """Images with one caption or several, of classes or of none."""

    def __init__(self, config: CaptionsConfig) -> None:
        self._path = Path(config.path)
        beside = self._path.parent / "images"
        super().__init__(
            Path(config.images) if config.images else beside if beside.is_dir() else self._path.parent
        )
        self._config = config

    def listing(self) -> Listing:
        """Every image that has captions, in the order of the table; several rows of one image are joined."""
        table = read_captions(self._path)
        missing: list[tuple[str, str]] = []
        found: dict[str, Found] = {}
        for line, name, label, split, captions in self._rows(table):
            try:
                path, size = self._find(name)
            except OSError as error:
                missing.append((name, f"cannot be read ({error.strerror})"))
                continue
            before = found.get(path)
            if before and (before.label, before.split) != (label, split):
                raise BadInput(
                    f"{table.file}:{line}: {path} has another class or split than in a line before"
                )
            said = (*(before.captions if before else ()), *captions)
            found[path] = Found(path, size, label, split, captions=said)
        return arrange(
            list(found.values()),
            test_every=self._config.test_every,
            may_number=True,
            has_captions=True,
            rejected=[*table.rejected, *missing],
        )

    def _rows(self, table: Table) -> Iterator[tuple[int, str, str, str | None, list[str]]]:
        """Line, image, label, split and captions of every row that has them."""
        image = table.column(self._config.image, IMAGE_COLUMNS)
        caption = table.column(self._config.caption, CAPTION_COLUMNS)
        label = table.column(self._config.label, LABEL_COLUMNS)
        for key, column in (("image", image), ("caption", caption)):
            if column is None:
                raise BadInput(f"{table.file}: no {key} among {', '.join(table.columns)}; name it by `{key}`")
        assert image is not None
        assert caption is not None
        for line, row in table.rows:
            name, group = _text(row.get(image)), _text(row.get(label)) if label else UNLABELLED
            said = row.get(caption)
            captions = [text for text in map(_text, said if isinstance(said, list) else [said]) if text]
            lacking = [
                key for key, value in (("image", name), ("label", group), ("caption", captions)) if not value
            ]
            if lacking:
                table.reject(line, f"no {lacking[0]}")
                continue
            yield line, name, group, _split_word(_text(row.get("split")), table.file, line), captions


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _split_word(word: str | None, file: Path, line: int) -> str | None:
    if not word:
        return None
    if word not in SPLIT_WORDS:
        raise BadInput(f"{file}:{line}: split '{word}', {nearest(word, SPLIT_WORDS)}")
    return SPLIT_WORDS[word]


def _check_listed_once(found: Iterable[Found], file: str) -> None:
    seen: set[str] = set()
    for image in found:
        if image.path in seen:
            raise BadInput(f"{file}: {image.path} is listed twice; keep one of the lines")
        seen.add(image.path)
