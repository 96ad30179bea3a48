"""Prints what a book says, with everything that is merged, inherited and implied written out."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from oarpipe.config.book import Book, load_book
from oarpipe.errors import BadInput


def show(book: Path, *words: str, seed: int | None = None, recipe: bool = False) -> None:
    """Prints a book's entries, or one entry resolved.

    oarpipe show config/config.yaml                        every entry, and what it needs
    oarpipe show config/config.yaml reports                where the entries of a table lie
    oarpipe show config/config.yaml models.any             one entry with all its options
    oarpipe show config/config.yaml models.any --recipe    the recipe file a stage reads
    oarpipe show config/config.yaml models.any models.any.train.steps=50
    """
    overrides = [word for word in words if "=" in word]
    wanted = [word for word in words if "=" not in word]
    if len(wanted) > 1:
        raise BadInput(f"show one entry at a time, got {', '.join(wanted)}")
    loaded = load_book([book], overrides)
    under = loaded.seeds[0] if seed is None else seed
    if under not in loaded.seeds:
        raise BadInput(f"seed {under}: {loaded.name} has the seeds {', '.join(map(str, loaded.seeds))}")
    table, dot, name = wanted[0].partition(".") if wanted else ("", "", "")
    if dot and recipe:
        print(loaded.recipe(table, name, under).text(), end="")
    elif recipe:
        raise BadInput("--recipe needs an entry to make a recipe of, such as models.any")
    elif dot:
        print("\n".join(_entry(loaded, table, name, under)))
    elif table:
        print("\n".join(_places(loaded, table, under)))
    else:
        print("\n".join(_contents(loaded)))


def _contents(book: Book) -> Iterator[str]:
    yield f"{book.name}: seeds {', '.join(map(str, book.seeds))}"
    for table, entries in book.tables.items():
        for name in entries:
            needs = (
                f"{flag}: {', '.join(name for _, name in targets)}"
                for flag, targets in book.ingredients(table, name).items()
            )
            yield f"{table + '.' + name:<40}{' · '.join(needs)}".rstrip()


def _places(book: Book, table: str, seed: int) -> Iterator[str]:
    if table not in book.tables:
        book.entry(table, "")
    for name in book.tables[table]:
        page = "/report.html" if table == "reports" else ""
        yield f"{table}.{name}: {book.folder(table, name, seed)}{page}"


def _entry(book: Book, table: str, name: str, seed: int) -> Iterator[str]:
    entry = book.entry(table, name)
    yield f"# {table}.{name}, carried out in {book.folder(table, name, seed)}"
    for flag, targets in book.ingredients(table, name).items():
        yield f"# needs {flag}: {', '.join('.'.join(target) for target in targets)}"
    yield yaml.safe_dump(entry.model_dump(mode="json"), sort_keys=False).rstrip()
