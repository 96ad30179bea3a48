"""One verb, four spellings: rule = command = stage = function; inputs = flags = keywords."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser

from oarpipe.arguments import TABLE_OF, parser
from oarpipe.cli import command
from oarpipe.config.recipe import Recipe
from oarpipe.config.tables import reference_fields
from oarpipe.stages import TOGETHER

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"

# What a merge waits for, without reading it by name: the shards' own receipts.
EDGES = {"shards"}


def rules() -> dict[str, str]:
    """The text of every rule of the workflow, by name."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for part in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            name, _, body = part.partition(":")
            found[name] = body
    return found


def inputs_of(rule: str) -> set[str]:
    """The names in a rule's `input:` section."""
    section = re.search(r"^    input:\n((?:        .*\n)+)", rules()[rule], flags=re.MULTILINE)
    assert section, rule
    return set(re.findall(r"^        (\w+)=", section[1], flags=re.MULTILINE)) - EDGES


def keywords_of(verb: str) -> set[str]:
    """The names of a stage's parameters that say what it reads.

    A stage that can do without a recipe has others instead, which no rule passes.
    """
    parameters = inspect.signature(command(verb)).parameters
    names = set(parameters) - {"out", "shard", "npz"}
    if parameters["recipe"].default is inspect.Parameter.empty:
        return names
    by_hand = names - {"recipe"} - set(reference_fields(TABLE_OF[verb]))
    assert all(parameters[name].default is None for name in by_hand)
    return names - by_hand


def test_rules_and_verbs_are_the_same_words() -> None:
    assert set(rules()) - {"common"} == set(TABLE_OF)


@pytest.mark.parametrize("verb", TABLE_OF)
def test_a_stage_is_the_function_that_its_file_is_named_after(verb: str) -> None:
    function = command(verb)
    assert (function.__module__, function.__name__) == (f"oarpipe.stages.{verb}", verb)
    first = next(iter(inspect.signature(function).parameters.values()))
    assert first.name == "recipe"
    assert first.annotation is Recipe or "Recipe" in str(first.annotation)


@pytest.mark.parametrize("verb", TABLE_OF)
def test_a_rules_inputs_are_its_stages_keywords(verb: str) -> None:
    assert inputs_of(verb) == keywords_of(verb)


@pytest.mark.parametrize("verb", TABLE_OF)
def test_a_rules_command_passes_every_input_and_no_other_flag(verb: str) -> None:
    shell = rules()[verb].partition("    shell:\n")[2]
    flags = set(re.findall(r"--(\w+) ", shell)) | set(re.findall(r"\{params\.(\w+)\}", shell))
    assert flags - {"out", "log", "runtime", "shard", "gpus", "nodes"} == inputs_of(verb)
    assert ("--gpus {resources.gpu} --nodes {resources.nodes}" in shell) == (verb in TOGETHER)
    assert ("shard" in flags) == ("shard" in inspect.signature(command(verb)).parameters)
    assert ("--runtime {resources.runtime}" in shell) == ("localrule: True" not in rules()[verb])


@pytest.mark.parametrize("verb", TABLE_OF)
def test_every_flag_and_every_verb_is_explained(verb: str) -> None:
    made = parser(verb, command(verb))
    assert made.description
    assert len(made.description.splitlines()[0]) <= 110
    assert all(action.help for action in made._actions)


def readme_commands() -> list[str]:
    """The lines of the README's shell blocks that call our own commands, continuation lines joined."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    blocks = [text for language, text in fences if language in ("", "bash", "sh", "console")]
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines = [line.removeprefix("$ ").partition("  #")[0].strip() for line in lines]
    return [line for line in lines if re.match(r"(\.venv/bin/)?(oarpipe|make|snakemake)\b", line)]


@pytest.mark.parametrize("line", readme_commands())
def test_every_command_in_the_readme_exists(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    if program.endswith("oarpipe"):
        verb = words[0].replace("-", "_") if words and not words[0].startswith("-") else None
        if verb and not {"-h", "--help"} & set(words):
            parser(verb, command(verb)).parse_intermixed_args(words[1:])
        elif verb:
            command(verb)
    elif program == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
        assert {word for word in words if "=" not in word} <= targets
    else:
        given = get_argument_parser().parse_args(words)
        for file in [*(given.configfile or []), *(given.profile or [])]:
            assert (ROOT / file).exists()
