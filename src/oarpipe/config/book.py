"""A book of named recipes: tables of entries that name their ingredients by key.

`load_book` merges YAML files and `key=value` overrides with OmegaConf, carries out the book's three
conveniences (`base:` another file, `like:` another entry, ingredients given in place), validates
everything, and reports every mistake at once.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from oarpipe.config.base import Strict
from oarpipe.config.misfits import misfits
from oarpipe.config.recipe import Recipe
from oarpipe.config.tables import TABLES, reference_fields, validate_entry
from oarpipe.errors import ConfigError, nearest

# What does not vary with the seed is made once, for the book's first seed: the images, the network
# that measures every seed with the same rule, and how fast the machine is.
SHARED = frozenset({"datasets", "features", "benchmarks"})


@dataclass(frozen=True)
class Book:
    """A validated book. `tables[table][name]` is an entry; `results` is where it is carried out."""

    name: str
    seeds: tuple[int, ...]
    tables: dict[str, dict[str, Strict]]

    def entry(self, table: str, name: str) -> Strict:
        """One entry; an unknown name raises `ConfigError` with the nearest known one."""
        if table not in self.tables:
            raise ConfigError(f"no table '{table}': {nearest(table, TABLES)}")
        if name not in self.tables[table]:
            raise ConfigError(f"no entry {table}.{name}: {nearest(name, self.tables[table])}")
        return self.tables[table][name]

    def recipe(self, table: str, name: str, seed: int) -> Recipe[Any]:
        """An entry with the seed it is carried out under."""
        return Recipe(table, name, self.seed_of(table, seed), self.entry(table, name))

    def seed_of(self, table: str, seed: int) -> int:
        """The seed under which an entry of `table` serves `seed`."""
        return self.seeds[0] if table in SHARED else seed

    def folder(self, table: str, name: str, seed: int) -> str:
        """Where an entry is carried out, below the working directory; a report covers all seeds."""
        if table == "reports":
            return f"results/{self.name}/reports/{name}"
        return f"results/{self.name}/seed-{self.seed_of(table, seed)}/{table}/{name}"

    def recipes(self) -> Iterator[Recipe[Any]]:
        """Every entry of every seed, ingredients before what they make."""
        for table, entries in self.tables.items():
            for seed in self.seeds[:1] if table in SHARED or table == "reports" else self.seeds:
                for name in entries:
                    yield self.recipe(table, name, seed)

    def ingredients(self, table: str, name: str) -> dict[str, list[tuple[str, str]]]:
        """What an entry needs: flag -> the (table, name) pairs behind it, without repeats.

        A flag is the referring field; a report needs, besides, all that its numbers came from, under
        the names of the tables.
        """
        needs: dict[str, list[tuple[str, str]]] = {}

        def add(flag: str, target: tuple[str, str]) -> None:
            if target not in needs.setdefault(flag, []):
                needs[flag].append(target)

        for flag, target_table, target in self.entry(table, name).references():
            names = self.tables[target_table] if target == "all" else [target]
            for one in names:
                add(flag, (target_table, one))
        if table == "samples":
            add("tokenizer", ("tokenizers", self.tokenizer_of(name)))
        if table == "reports":
            for below in self._closure([t for targets in needs.values() for t in targets]):
                if below[0] not in ("evaluations", "information", "benchmarks"):
                    add(below[0], below)
        return needs

    def _closure(self, targets: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The targets and everything below them, in the order of the tables."""
        found: set[tuple[str, str]] = set()
        waiting = list(targets)
        while waiting:
            target = waiting.pop()
            if target not in found:
                found.add(target)
                waiting += [t for ts in self.ingredients(*target).values() for t in ts]
        return [(t, n) for t in TABLES for n in self.tables[t] if (t, n) in found]

    def tokenizer_of(self, samples: str) -> str:
        """The tokenizer that turns a sample set's codes into images: its model's tokens' tokenizer."""
        model: Any = self.entry("models", self.entry("samples", samples).model)  # type: ignore[attr-defined]
        tokens: Any = self.entry("tokens", model.tokens)
        return str(tokens.tokenizer)


def load_book(files: Sequence[str | Path], overrides: Sequence[str] = (), *, name: str | None = None) -> Book:
    """Reads, merges and validates a book; raises `ConfigError` naming every mistake.

    `overrides` are OmegaConf's dotted assignments, such as `models.any.train.steps=100`.
    """
    raw: dict[str, Any] = {}
    for file in files:
        raw = merge(raw, _read(Path(file)))
    raw = _override(raw, overrides)
    source = name or " + ".join(str(f) for f in files)
    return validate(raw, source)


def validate(raw: dict[str, Any], source: str = "book") -> Book:
    """A plain dictionary as a `Book`; raises `ConfigError` naming every mistake."""
    problems: list[str] = []
    for key in raw:
        if key not in {"name", "seeds", *TABLES}:
            problems.append(f"{key}: unknown table, {nearest(key, ['name', 'seeds', *TABLES])}")
    book_name = raw.get("name")
    if not isinstance(book_name, str) or not book_name or "/" in book_name:
        problems.append(f"name: expected the name of the book's folder in results/, got {book_name!r}")
    seeds = raw.get("seeds", [0])
    if not _are_seeds(seeds):
        problems.append(f"seeds: expected a list of different whole numbers from 0, got {seeds!r}")
    written = {table: _table(raw, table, problems) for table in TABLES}
    _lift_ingredients(written, problems)
    tables: dict[str, dict[str, Strict]] = {table: {} for table in TABLES}
    for table, entries in written.items():
        for entry_name, entry in entries.items():
            validated, mistakes = validate_entry(table, entry_name, entry)
            problems += mistakes
            if validated is not None:
                tables[table][entry_name] = validated
    problems += _dangling(tables, written)
    if not problems:
        book = Book(book_name or "", tuple(seeds), tables)
        problems += _cycles(book) or list(misfits(book))
    problems = _at_their_origin(problems, raw)
    if problems:
        head = f"{source}: {len(problems)} mistake{'s' * (len(problems) > 1)}"
        raise ConfigError("\n  ".join([head, *problems]) if len(problems) > 1 else f"{source}: {problems[0]}")
    return book


def _at_their_origin(problems: list[str], raw: dict[str, Any]) -> list[str]:
    """The mistakes without those that an entry only took over from the one it is `like`."""
    told = set(problems)

    def is_taken_over(problem: str) -> bool:
        table, _, path = problem.partition(".")
        name, _, rest = path.partition(".")
        entries = raw.get(table)
        entry = entries.get(name) if isinstance(entries, dict) else None
        parent = entry.get("like", name) if isinstance(entry, dict) else name
        return bool(parent != name and f"{table}.{parent}.{rest}" in told)

    return [problem for problem in problems if not is_taken_over(problem)]


def merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """`child` over `parent`, key by key; a mapping that names its own kind replaces the parent's."""
    merged = deepcopy(parent)
    for key, value in child.items():
        old = merged.get(key)
        replaces = isinstance(value, dict) and ("kind" in value or "select" in value or "like" in value)
        if isinstance(old, dict) and isinstance(value, dict) and not replaces:
            merged[key] = merge(old, value)
        else:
            merged[key] = deepcopy(value)
    return merged


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ConfigError(f"{file}: no such file; name a book such as config/config.yaml")
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(file))
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{file}: expected tables of recipes, got a {type(loaded).__name__}")
    raw = {str(key): value for key, value in loaded.items()}
    base = raw.pop("base", None)
    return raw if base is None else _built_upon(_read(file.parent / str(base)), raw)


def _built_upon(base: dict[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
    """A book over the one it is based on, without the entries that it sets to null."""
    merged = merge(base, raw)
    for table in (t for t in TABLES if isinstance(base.get(t), dict) and isinstance(merged[t], dict)):
        merged[table] = {n: entry for n, entry in merged[table].items() if entry or n not in base[table]}
    return merged


def _override(raw: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    for text in overrides:
        key, equals, _ = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"override '{text}': expected key=value, as in samples.x.temperature=0.9")
        table, _, rest = key.partition(".")
        entry = rest.partition(".")[0]
        if rest and isinstance(raw.get(table), dict) and entry not in raw[table]:
            raise ConfigError(f"override '{text}': no entry {table}.{entry}, {nearest(entry, raw[table])}")
    try:
        config = OmegaConf.merge(OmegaConf.create(raw), OmegaConf.from_dotlist(list(overrides)))
        resolved = OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"overrides or interpolations: {' '.join(str(error).split())}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def _are_seeds(seeds: Any) -> bool:
    return (
        isinstance(seeds, list)
        and len(seeds) > 0
        and all(type(s) is int and s >= 0 for s in seeds)
        and len(set(seeds)) == len(seeds)
    )


def _table(raw: dict[str, Any], table: str, problems: list[str]) -> dict[str, Any]:
    """The entries of one table with every `like:` carried out."""
    written = raw.get(table) or {}
    if not isinstance(written, dict):
        problems.append(f"{table}: expected named entries, got {written!r}")
        return {}
    done: dict[str, Any] = {}

    def resolve(name: str, trail: tuple[str, ...]) -> Any:
        if name in trail:
            problems.append(f"{table}.{name}.like: goes in a circle ({' -> '.join([*trail, name])})")
            return None
        if name in done:
            return done[name]
        entry = written[name]
        if not isinstance(entry, dict):
            problems.append(f"{table}.{name}: expected a mapping of options, got {entry!r}")
            return None
        if "like" in entry:
            parent_name = entry["like"]
            if parent_name not in written:
                problems.append(
                    f"{table}.{name}.like: no entry {table}.{parent_name}, "
                    f"{nearest(str(parent_name), written)}"
                )
                return None
            parent = resolve(parent_name, (*trail, name))
            if parent is None:
                return None
            entry = merge(parent, {k: v for k, v in entry.items() if k != "like"})
        done[name] = entry
        return entry

    for name in written:
        if not isinstance(name, str) or not name.replace("_", "").replace("-", "").isalnum():
            problems.append(f"{table}.{name}: a name is letters, digits, '-' and '_'; it becomes a folder")
            continue
        resolve(name, ())
    return {name: done[name] for name in written if name in done}


def _lift_ingredients(written: dict[str, dict[str, Any]], problems: list[str]) -> None:
    """An ingredient given in place becomes an entry of its own, named after the entry it serves."""
    for table, refs in ((t, reference_fields(t)) for t in reversed(TABLES)):
        for name, entry in written[table].items():
            for field, target in refs.items():
                value = entry.get(field)
                if not isinstance(value, dict):
                    continue
                if name in written[target]:
                    problems.append(
                        f"{table}.{name}.{field}: given in place, it would become {target}.{name}, "
                        "which exists already; rename one of them"
                    )
                    continue
                parent_name = value.get("like")
                if parent_name is not None:
                    if parent_name not in written[target]:
                        problems.append(
                            f"{table}.{name}.{field}.like: no entry {target}.{parent_name}, "
                            f"{nearest(str(parent_name), written[target])}"
                        )
                        continue
                    value = merge(
                        written[target][parent_name], {k: v for k, v in value.items() if k != "like"}
                    )
                written[target][name] = value
                entry[field] = name


def _dangling(tables: dict[str, dict[str, Strict]], written: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{table}.{name}.{field}: no entry {target}.{wanted}, {nearest(wanted, written[target])}"
        for table, entries in tables.items()
        for name, entry in entries.items()
        for field, target, wanted in entry.references()
        if wanted != "all" and wanted not in written[target]
    ]


def _cycles(book: Book) -> list[str]:
    """Recipes that need themselves."""
    done: set[tuple[str, str]] = set()

    def visit(node: tuple[str, str], trail: tuple[tuple[str, str], ...]) -> str | None:
        if node in trail:
            circle = [*trail[trail.index(node) :], node]
            return f"{'.'.join(node)}: needs itself ({' -> '.join('.'.join(n) for n in circle)})"
        if node in done:
            return None
        for targets in book.ingredients(*node).values():
            for target in targets:
                found = visit(target, (*trail, node))
                if found:
                    return found
        done.add(node)
        return None

    nodes = [(table, name) for table, entries in book.tables.items() for name in entries]
    return next(([problem] for node in nodes if (problem := visit(node, ()))), [])
