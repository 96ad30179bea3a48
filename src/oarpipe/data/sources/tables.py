"""Tables that list images: CSV, JSONL, plain text with labels, or a folder of caption files."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oarpipe.data.sources.files import scan
from oarpipe.errors import BadInput, nearest

Row = dict[str, Any]


@dataclass
class Table:
    """What a table holds: numbered rows by column, and the lines that are none."""

    file: Path
    columns: Sequence[str]
    rows: list[tuple[int, Row]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)

    def reject(self, line: int, reason: str) -> None:
        """Notes a line that is no row."""
        self.rejected.append((f"{self.file.name}:{line}", reason))

    def column(self, asked: str | None, known: Sequence[str]) -> str | None:
        """The column asked for, or the first of the known ones that is there."""
        if asked is not None and asked not in self.columns:
            raise BadInput(f"{self.file}: no column '{asked}', {nearest(asked, self.columns)}")
        return asked or next((name for name in known if name in self.columns), None)


def read_labels(file: Path) -> Table:
    """Lines of `path`, `label` and perhaps `split`, with or without a header, by comma, tab or last space."""
    text = _text_of(file)
    first = text.lstrip().partition("\n")[0]
    mark = "," if "," in first else "\t" if "\t" in first else None
    cut = _by_mark(file, text, mark) if mark else _by_last_space(text)
    rows = [(line, [word.strip() for word in words]) for line, words in cut]
    table = Table(file, ("path", "label", "split"))
    if rows and rows[0][1][:2] == ["path", "label"]:
        rows = rows[1:]
    for line, words in rows:
        if len(words) in (2, 3) and all(words[:2]):
            table.rows.append((line, dict(zip(table.columns, words, strict=False))))
        else:
            table.reject(line, f"expected path, label and perhaps split, found {len(words)} columns")
    return table


def read_captions(path: Path) -> Table:
    """A CSV with a header line, JSON objects, one a line, or a folder of text files."""
    if path.is_dir():
        return _texts(path)
    return _json_lines(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv(path)


def _csv(file: Path) -> Table:
    rows = _by_mark(file, _text_of(file), ",")
    table = Table(file, [name.strip() for name in next(rows, (0, []))[1]])
    width = len(table.columns)
    for line, words in rows:
        if len(words) < width:
            table.reject(line, f"expected {width} columns, found {len(words)}")
            continue
        # Unquoted commas in the text of the last column, as Fashion Products' styles.csv has them.
        words[width - 1 :] = [",".join(words[width - 1 :])]
        words = [word.strip() for word in words]
        table.rows.append((line, dict(zip(table.columns, words, strict=True))))
    return table


def _json_lines(file: Path) -> Table:
    table = Table(file, [])
    columns: dict[str, None] = {}
    for line, text in enumerate(_text_of(file).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            table.reject(line, f"not JSON ({error.msg})")
            continue
        if isinstance(row, dict):
            columns.update(dict.fromkeys(row))
            table.rows.append((line, row))
        else:
            table.reject(line, "not a JSON object")
    table.columns = list(columns)
    return table


def _texts(folder: Path) -> Table:
    """A text file an image, one caption a line."""
    table = Table(folder, ("image", "captions"))
    names = [entry.name for entry in scan(folder) if entry.name.endswith(".txt")]
    for number, name in enumerate(sorted(names, key=_natural), start=1):
        captions = _text_of(folder / name).splitlines()
        table.rows.append((number, {"image": Path(name).stem, "captions": captions}))
    return table


def _natural(name: str) -> tuple[int, int, str]:
    """Numbers in their order, then other names."""
    stem = Path(name).stem
    return (0, int(stem), name) if stem.isdecimal() else (1, 0, name)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadInput(
            f"{file}: cannot be read ({error.strerror}); set the dataset's `path` to it"
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not UTF-8 text ({error.reason}); convert it") from error


def _by_mark(file: Path, text: str, mark: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        for words in reader:
            if any(words):
                yield reader.line_num, words
    except csv.Error as error:
        raise BadInput(f"{file}:{reader.line_num}: not a table ({error}); look for a stray quote") from error


def _by_last_space(text: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in enumerate(text.split("\n"), start=1):
        if row.strip():
            yield line, row.rsplit(None, 1)
