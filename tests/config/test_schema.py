"""What is generated from the types is what is committed, and it accepts what the types accept."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from oarpipe.config.schema import book_schema, options_page
from oarpipe.config.tables import TABLES, option_classes
from oarpipe.tools.schema import PAGE, SCHEMA, schema_text

ROOT = Path(__file__).parents[2]
BOOKS = sorted((ROOT / "config").glob("*.yaml"))


def test_the_committed_schema_is_up_to_date() -> None:
    assert (ROOT / SCHEMA).read_text() == schema_text(), "run `oarpipe schema`"


def test_the_committed_page_of_options_is_up_to_date() -> None:
    assert (ROOT / PAGE).read_text() == options_page(), "run `oarpipe schema`"


@pytest.mark.parametrize("book", BOOKS, ids=lambda file: file.name)
def test_the_schema_accepts_every_book_we_ship(book: Path) -> None:
    jsonschema.validate(yaml.safe_load(book.read_text()), book_schema())


@pytest.mark.parametrize(
    "spoilt",
    [
        {"modles": {}},
        {"models": {"any": {"stepz": 1}}},
        {"models": {"any": {"train": {"steps": "many"}}}},
        {"datasets": {"digits": {"kind": "digitz"}}},
    ],
)
def test_the_schema_refuses_what_the_types_refuse(spoilt: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, book_schema())


def test_the_schema_knows_likes_and_ingredients_in_place() -> None:
    jsonschema.validate({"samples": {"a": {"like": "b", "model": {"like": "c", "width": 8}}}}, book_schema())


def test_every_option_is_on_the_page() -> None:
    page = options_page()
    for table, annotation in TABLES.items():
        assert f"\n## {table}\n" in page
        for cls in option_classes(annotation):
            for key in cls.model_fields:
                assert f"| `{key}` |" in page
