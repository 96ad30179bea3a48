# The only Python of the workflow: it reads the book, writes one recipe file an entry, and answers
# the rules' questions about an entry's ingredients. It imports oarpipe.config and nothing else of it.
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from oarpipe.config.book import SHARED, Book, load_book
from oarpipe.config.datasets import InMemoryConfig
from oarpipe.errors import ConfigError

# Jobs find the `oarpipe` beside this Snakemake, also where its environment is not activated.
os.environ.update(PATH=f"{os.getenv('PATH')}{os.pathsep}{Path(sys.executable).parent}")


def read_book() -> Book:
    """The book given with --configfile, changed by --config set='key=value …'; a mistake ends the run."""
    strangers = set(workflow.config_settings.config) - {"set"}
    try:
        if strangers:
            raise ConfigError(
                f"--config {' '.join(sorted(strangers))}: the only key is 'set', "
                "as in --config set='samples.x.temperature=0.9 models.any.train.steps=50'"
            )
        changes = shlex.split(str(config.get("set", "")))
        return load_book(
            workflow.overwrite_configfiles or ["config/config.yaml"], changes
        )
    except ConfigError as error:
        print(f"oarpipe: {error}", file=sys.stderr)
        sys.exit(2)


BOOK = read_book()
# Thousands of shares ask for those of one entry.
ingredients_of = cache(BOOK.ingredients)


def write_recipes() -> dict[tuple[str, str, int], str]:
    """Every entry's recipe file. Its name carries its content, so that a changed entry is a new input."""
    files = {}
    for recipe in BOOK.recipes():
        file = Path(f"results/{BOOK.name}/recipes/{recipe.table}/{recipe.file_name()}")
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
            partial.write_text(recipe.text())
            partial.replace(file)
        files[recipe.table, recipe.name, recipe.seed] = str(file)
    return files


RECIPES = write_recipes()


def recipe_file(table: str, name: str, seed: int) -> str:
    return RECIPES[table, name, BOOK.seed_of(table, seed)]


def receipts(table: str, name: str, seed: int) -> list[str]:
    """The receipts of an entry; a search has one for each arm."""
    folder = BOOK.folder(table, name, seed)
    if table == "searches":
        return [
            f"{folder}/{arm}/receipt.json" for arm in BOOK.entry(table, name).samples
        ]
    return [f"{folder}/receipt.json"]


def recipe(table: str):
    """Input function: the recipe file of the entry that the wildcards name."""

    def file_of(wildcards):
        return recipe_file(table, wildcards.name, seed_in(wildcards))

    return file_of


def recipe_of_arm(wildcards) -> str:
    """Input function: the recipe file of the sample set that a search looks at."""
    return recipe_file("samples", wildcards.arm, seed_in(wildcards))


def ingredient(table: str, flag: str, wildcard: str = "name"):
    """Input function: the receipts behind one flag of an entry; none if it has no such ingredient."""

    def receipts_of(wildcards):
        needs = ingredients_of(table, wildcards[wildcard]).get(flag, [])
        return [
            file for target in needs for file in receipts(*target, seed_in(wildcards))
        ]

    return receipts_of


def of_all_seeds(flag: str):
    """Input function of reports: the receipts behind one flag, under every seed."""

    def receipts_of(wildcards):
        needs = ingredients_of("reports", wildcards.name).get(flag, [])
        files = [
            f
            for seed in BOOK.seeds
            for target in needs
            for f in receipts(*target, seed)
        ]
        return list(dict.fromkeys(files))

    return receipts_of


def optional(flag: str):
    """Params function: `--flag FILE …` where the entry has such an ingredient, else nothing."""

    def words(wildcards, input):
        return f"--{flag} {input[flag]}" if input[flag] else ""

    return words


def seed_in(wildcards) -> int:
    return int(wildcards.get("seed", BOOK.seeds[0]))


def one_of(names) -> str:
    """A wildcard constraint that admits these names, and nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def made_by(verb: str, table: str) -> str:
    """A wildcard constraint: the entries of a table that `verb` makes, where several verbs may."""
    return one_of(
        name for name, entry in BOOK.tables[table].items() if entry.verb == verb
    )


def threads_of_model(wildcards) -> int:
    """All wait for a model trained from nothing, so it gets two; the arms that start from it run side by side."""
    return 2 if BOOK.entry("models", wildcards.name).init is None else 1


def threads_of_images(table: str):
    """Threads function: eight decode where there are files to decode."""

    def threads(wildcards) -> int:
        entry = BOOK.entry(table, wildcards.name)
        dataset = (
            entry if table == "datasets" else BOOK.entry("datasets", entry.dataset)
        )
        return 1 if isinstance(dataset, InMemoryConfig) else 8

    return threads


def everything_asked_for() -> list[str]:
    """The book's reports; in a book without one, every entry under every seed."""
    if BOOK.tables["reports"]:
        return [
            f"{BOOK.folder('reports', name, 0)}/report.html"
            for name in BOOK.tables["reports"]
        ]
    return [
        f
        for recipe in BOOK.recipes()
        for f in receipts(recipe.table, recipe.name, recipe.seed)
    ]


wildcard_constraints:
    book=re.escape(BOOK.name),
    seed=one_of(map(str, BOOK.seeds)),
    name=r"[\w-]+",
    arm=r"[\w-]+",
