"""What the documentation says is so: its books, its pictures, its links, and the places it points to."""

import ast
import re
import runpy
from pathlib import Path

import pytest
import yaml

from oarpipe.config.tables import validate_entry

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def fenced(page: Path, language: str) -> list[str]:
    """The blocks of a page that are in one language."""
    fences = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [text for found, text in fences if found == language]


def test_the_readme_shows_the_book_for_ones_own_images_as_it_is_shipped() -> None:
    shown = yaml.safe_load(fenced(ROOT / "README.md", "yaml")[0])
    assert shown == yaml.safe_load((ROOT / "config/images.yaml").read_text())


def test_the_picture_of_the_rules_is_of_these_rules() -> None:
    drawn = runpy.run_path(str(ROOT / "docs/images/rules.py"))["drawing"]()
    assert drawn == (ROOT / "docs/images/rules.svg").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_can_be_parsed(page: Path) -> None:
    for text in fenced(page, "python"):
        ast.parse(re.sub(r"^   ", "", text, flags=re.MULTILINE) if text.startswith("   ") else text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_place_in_the_code_is_there(page: Path) -> None:
    for file, name in re.findall(r"`((?:\w+/)+\w+\.py)(?::(\w+))?`", page.read_text()):
        place = next((p for p in (ROOT / "src/oarpipe" / file, ROOT / file) if p.is_file()), None)
        assert place is not None, file
        tree = ast.parse(place.read_text())
        known = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        known |= {
            t.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for t in node.targets
            if isinstance(t, ast.Name)
        }
        assert not name or name in known, f"{file}:{name}"


def test_every_entry_for_published_weights_is_one_that_a_book_admits() -> None:
    (text,) = fenced(ROOT / "docs/weights.md", "yaml")
    for table, entries in yaml.safe_load(text).items():
        for name, entry in entries.items():
            assert validate_entry(table, name, entry)[1] == []
