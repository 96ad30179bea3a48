"""A recipe: one entry, resolved, with the name and seed it is carried out under.

The workflow hands every stage its recipe as a small YAML file. The file's name carries a hash of its
content, so that a changed entry is a new file and Snakemake re-runs what reads it, and nothing else.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from oarpipe.config.base import Strict
from oarpipe.config.tables import validate_entry
from oarpipe.errors import ConfigError

# Raised when a stage's output changes its form or meaning: finished work of an older format is redone.
FORMATS = {
    "datasets": 1,
    "features": 1,
    "tokenizers": 1,
    "tokens": 1,
    "models": 1,
    "orders": 1,
    "order_heads": 1,
    "samples": 1,
    "searches": 1,
    "evaluations": 2,
    "information": 2,
    "benchmarks": 1,
    "reports": 1,
}

E = TypeVar("E", bound=Strict)


@dataclass(frozen=True)
class Recipe(Generic[E]):
    """`entry` is what to do; `name` and `seed` say for whom. The name never changes a result."""

    table: str
    name: str
    seed: int
    entry: E

    def text(self) -> str:
        """The recipe as YAML, the form that stages read."""
        content = {
            "table": self.table,
            "name": self.name,
            "seed": self.seed,
            "format": FORMATS[self.table],
            "entry": self.entry.model_dump(mode="json"),
        }
        return "# made by oarpipe from the book of recipes; edit the book, not this file\n" + yaml.safe_dump(
            content, sort_keys=False
        )

    def file_name(self) -> str:
        """`<name>.seed-<seed>.<hash>.yaml`, the hash being that of the content."""
        return f"{self.name}.seed-{self.seed}.{hashlib.sha256(self.text().encode()).hexdigest()[:8]}.yaml"

    def meaning(self) -> dict[str, Any]:
        """What a fingerprint covers: everything but names, whose content the inputs' digests cover."""
        return {
            "table": self.table,
            "seed": self.seed,
            "format": FORMATS[self.table],
            "entry": self.entry.without_references(),
        }


def read_recipe(file: Path, table: str) -> Recipe[Any]:
    """A recipe file of `table`, validated; `ConfigError` names what is wrong with it."""
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: not readable as a recipe: {' '.join(str(error).split())}") from error
    keys = {"table", "name", "seed", "format", "entry"}
    if not isinstance(content, dict) or set(content) != keys:
        raise ConfigError(
            f"{file}: expected a recipe with the keys {', '.join(sorted(keys))}; "
            f"make one with `oarpipe show BOOK {table}.NAME --recipe`"
        )
    if content["table"] != table:
        raise ConfigError(f"{file}: a recipe of table '{content['table']}', expected one of '{table}'")
    if content["format"] != FORMATS[table]:
        raise ConfigError(
            f"{file}: format {content['format']}, this oarpipe writes format {FORMATS[table]}; "
            "make the recipe anew (running snakemake does)"
        )
    entry, problems = validate_entry(table, content["name"], content["entry"])
    if entry is None:
        raise ConfigError(f"{file}: {'; '.join(problems)}")
    return Recipe(table, str(content["name"]), int(content["seed"]), entry)
