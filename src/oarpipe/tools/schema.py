"""Renews what is generated from the types of the book."""

import json
from pathlib import Path

from oarpipe.base.files import write_text
from oarpipe.base.log import log
from oarpipe.config.schema import book_schema, options_page
from oarpipe.errors import BadInput

SCHEMA = Path("workflow/schemas/config.schema.json")
PAGE = Path("config/README.md")


def schema(*, out: Path | None = None) -> None:
    """Writes the book's JSON schema and the page of all its options into a clone of oarpipe."""
    root = out or Path.cwd()
    if not (root / "workflow/Snakefile").is_file():
        raise BadInput(f"{root}: no clone of oarpipe (there is no workflow/Snakefile); give one with --out")
    for file, text in ((root / SCHEMA, schema_text()), (root / PAGE, options_page())):
        write_text(file, text)
        log.info("wrote %s", file)


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(book_schema(), indent=2, ensure_ascii=False) + "\n"
