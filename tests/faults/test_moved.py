"""Results that were moved elsewhere, half-done: the line goes on there, and makes nothing again."""

import shutil
from pathlib import Path

import pytest

from oarpipe.cli import main
from tests.cluster import line as clones
from tests.stages.ingredients import SQUARE, orders_recipe, real_model, tokens, words
from tests.workflow.test_workflow import EVERYTHING, Line

SEED = "results/tiny/seed-0"
TOKENS = f"{SEED}/tokens/digits/receipt.json"
DONE = ("index", "train_features", "train_tokenizer", "tokenize")
OPEN = {rule: jobs for rule, jobs in EVERYTHING.items() if rule not in DONE}


def test_a_moved_clone_and_moved_results_go_on_where_they_were(tmp_path: Path) -> None:
    line = Line(tmp_path / "here")
    assert line.snakemake("--cores", "2", TOKENS).returncode == 0
    line.folder = line.folder.rename(tmp_path / "there")
    assert line.jobs() == OPEN
    fresh = Line(tmp_path / "fresh")
    shutil.move(line.folder / "results", fresh.folder / "results")
    assert fresh.jobs() == OPEN


def test_a_half_done_extraction_goes_on_elsewhere(tmp_path: Path) -> None:
    """Ingredients and all; of its parts, one was lost on the way."""
    here, there, recipe = tmp_path / "here", tmp_path / "there", orders_recipe(part=2)
    here.mkdir()
    store = tokens(here / "tokens", grid=SQUARE)
    given = {"model": real_model(here / "any", store), "tokens": store, "out": here / "greedy"}
    assert main(words("extract", recipe, **given)) == 0
    parts = sorted((here / "greedy").glob("state/*/*.parquet"))
    expected = {part.name: part.read_bytes() for part in parts}
    parts[1].unlink()
    here.rename(there)
    moved = {name: there / path.relative_to(here) for name, path in given.items()}
    kept = {file: file.stat().st_mtime_ns for file in (there / "greedy").glob("state/*/*.parquet")}
    assert main(words("extract", recipe, **moved)) == 0
    found = sorted((there / "greedy").glob("state/*/*.parquet"))
    assert {part.name: part.read_bytes() for part in found} == expected
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert main(words("merge_orders", recipe, **moved)) == 0


@pytest.mark.faults
def test_a_real_line_goes_on_in_a_moved_clone_and_ends_as_if_it_had_stayed(tmp_path: Path) -> None:
    target = f"{SEED}/models/any/receipt.json"
    stayed, line = clones.Line(tmp_path / "stayed"), clones.Line(tmp_path / "here")
    stayed.start_locally(target).ends_well()
    line.start_locally(f"{SEED}/tokenizers/small/receipt.json").ends_well()
    line.folder = line.folder.rename(tmp_path / "there")
    made = {file: file.stat().st_mtime_ns for file in (line.folder / SEED).rglob("*") if file.is_file()}
    line.start_locally(target).ends_well()
    assert {file: file.stat().st_mtime_ns for file in made} == made
    assert line.digests() == stayed.digests()
