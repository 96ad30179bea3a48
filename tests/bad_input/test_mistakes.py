"""Mistakes, as a user meets them: one line that names the file or key and says what to do, exit 2, and
nothing half-written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.datasets import FolderConfig
from oarpipe.config.recipe import Recipe
from tests.bad_input.conftest import Refused, half_written, made
from tests.data.sources.pictures import paint_all
from tests.stages.ingredients import (
    SQUARE,
    model_recipe,
    orders_recipe,
    real_model,
    real_tokenizer,
    samples_recipe,
    tokens,
    words,
)

TINY = Path(__file__).parents[2] / "config" / "tiny.yaml"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("models.any.train.stepz", 5, "models.any.train.stepz: unknown key, did you mean 'steps'?"),
        ("models.any.train.steps", "many", "models.any.train.steps: input should be a valid integer"),
        ("models.any.tokens", "digit", "models.any.tokens: no entry tokens.digit, did you mean 'digits'?"),
        ("models.any.init", "greedy", "models.any: needs itself (models.any -> models.greedy -> orders."),
        (
            "samples.any_random.count",
            0,
            "samples.any_random.count: input should be greater than or equal to 1",
        ),
    ],
)
def test_a_mistake_in_the_book_is_told_with_its_key(
    refused: Refused, tmp_path: Path, path: str, value: Any, says: str
) -> None:
    book = yaml.safe_load(TINY.read_text())
    table, entry, *inner, key = path.split(".")
    node = book[table][entry]
    for part in inner:
        node = node[part]
    node[key] = value
    file = tmp_path / "book.yaml"
    file.write_text(yaml.safe_dump(book))
    assert refused(["show", str(file), "models.any"]).startswith(f"{file}: {says}")


def spoilt(command: list[str], change: Callable[[dict[str, Any]], None]) -> list[str]:
    """The command with its recipe file changed."""
    file = Path(command[command.index("--recipe") + 1])
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))
    return command


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["entry"].update(cuont=3), "samples.greedy.cuont: unknown key, did you mean 'count'?"),
        (lambda c: c["entry"].update(temperature="hot"), "samples.greedy.temperature: input should be"),
        (lambda c: c["entry"].update(count=0), "samples.greedy.count: input should be greater than"),
        (lambda c: c.update(table="models"), "a recipe of table 'models', expected one of 'samples'"),
        (lambda c: c.update(format=99), "format 99, this oarpipe writes format 1; make the recipe anew"),
    ],
)
def test_a_mistake_in_a_recipe_file_is_told_with_its_key_and_nothing_is_made(
    line: dict[str, Path],
    refused: Refused,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    given = {"model": line["model"], "tokenizer": line["tokenizer"], "out": tmp_path / "samples"}
    command = spoilt(words("generate", samples_recipe(count=4), **given), change)
    told = refused(command)
    assert told.startswith(command[2])
    assert says in told
    assert not (tmp_path / "samples").exists()
    assert main(words("generate", samples_recipe(count=4), **given)) == 0


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda f: (f / "cat" / "1.png").write_bytes(b"cut"),
            "1 of 3 images are unusable, such as cat/1.png: not a",
        ),
        (lambda f: shutil.copytree(f / "cat", f / "Cat"), "classes 'Cat' and 'cat' differ only by case"),
        (lambda f: (f / "bee").mkdir(), "bee: no images, but every folder here is a class"),
        (lambda f: f.rename(f.with_name("moved")), "no such folder; set the dataset's `path`"),
    ],
)
def test_images_that_cannot_be_used_are_told_and_mended_ones_are_indexed(
    refused: Refused, tmp_path: Path, spoil: Callable[[Path], Any], says: str
) -> None:
    folder, kept, out = tmp_path / "pictures", tmp_path / "kept", tmp_path / "out"
    paint_all(folder, {"cat/1.png": 10, "cat/2.png": 20, "dog/1.png": 30})
    shutil.copytree(folder, kept)
    recipe = Recipe("datasets", "pictures", 0, FolderConfig(kind="folder", path=str(folder), resolution=8))
    spoil(folder)
    assert says in refused(words("index", recipe, out=out))
    assert [file.name for file in half_written(out)] in ([], ["rejected.parquet"])
    shutil.rmtree(folder, ignore_errors=True)
    kept.rename(folder)
    assert main(words("index", recipe, out=out)) == 0
    checked(out, "datasets")


@pytest.mark.parametrize("verb", ["train", "distill"])
def test_a_missing_ingredient_is_named_with_what_to_run(
    line: dict[str, Path], refused: Refused, tmp_path: Path, verb: str
) -> None:
    given: dict[str, Path] = {"tokens": tmp_path / "nowhere"}
    if verb == "distill":
        given = {"tokens": line["tokens"], "init": line["model"], "orders": tmp_path / "nowhere"}
    told = refused(
        words(verb, model_recipe(init="any" if "init" in given else None), **given, out=tmp_path / "m")
    )
    assert told == (
        f"{tmp_path}/nowhere: no receipt.json, so it was never finished; run the stage that makes it"
    )
    assert not (tmp_path / "m").exists()


def test_an_ingredient_of_another_kind_is_named(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    told = refused(words("train", model_recipe(), tokens=line["model"], out=tmp_path / "m"))
    assert told == f"{line['model']}: holds models.any, expected one of 'tokens'"


def test_an_ingredient_of_another_fingerprint_is_named(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    """Orders of one token store, a model to train on another."""
    recipe = orders_recipe()
    for verb in ("extract", "merge_orders"):
        given = {"model": line["model"], "tokens": line["tokens"]}
        assert main(words(verb, recipe, **given, out=tmp_path / "greedy")) == 0
    other = tokens(tmp_path / "other", grid=SQUARE, first=9)
    tuned = model_recipe("tuned", init="any", order={"kind": "table", "orders": "greedy"})
    given = {"tokens": other, "init": real_model(tmp_path / "another", other), "orders": tmp_path / "greedy"}
    told = refused(words("distill", tuned, **given, out=tmp_path / "tuned"))
    mine, theirs = (checked(folder, "tokens").digest[:8] for folder in (line["tokens"], other))
    assert told == (
        f"{tmp_path}/greedy: orders.greedy was made from tokens {mine}, but {other} holds tokens {theirs}; "
        "name ingredients made from one token store, or make them anew"
    )
    assert not (tmp_path / "tuned").exists()
    given = {"tokens": line["tokens"], "init": line["model"], "orders": tmp_path / "greedy"}
    assert main(words("distill", tuned, **given, out=tmp_path / "tuned")) == 0


def test_a_tokenizer_that_is_not_the_models_is_named(refused: Refused, tmp_path: Path) -> None:
    """It has as many codes; only what they look like is otherwise."""
    right, wrong = (real_tokenizer(tmp_path / name, seed=seed) for name, seed in (("right", 0), ("wrong", 1)))
    model = real_model(tmp_path / "any", tokens(tmp_path / "tokens", grid=SQUARE, tokenizer=right))
    told = refused(words("generate", samples_recipe(), model=model, tokenizer=wrong, out=tmp_path / "drawn"))
    learned, given = (checked(folder, "tokenizers").digest[:8] for folder in (right, wrong))
    assert told == (
        f"{wrong}: tokenizers.wrong is {given}, but {model} was trained on codes of tokenizer {learned}; "
        "name the one that made its tokens"
    )
    assert not (tmp_path / "drawn").exists()
    given_right = {"model": model, "tokenizer": right, "out": tmp_path / "drawn"}
    assert main(words("generate", samples_recipe(count=2), **given_right)) == 0


def test_a_folder_without_images_is_named(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    recipe = tmp_path / "photos.yaml"
    entry = {"kind": "folder", "path": str(tmp_path / "photos"), "resolution": 16}
    content = {"table": "datasets", "name": "photos", "seed": 0, "format": 1, "entry": entry}
    recipe.write_text(yaml.safe_dump(content))
    told = refused(["index", "--recipe", str(recipe), "--out", str(tmp_path / "index")])
    assert str(tmp_path / "photos") in told
    assert made(tmp_path / "index") == []


@pytest.mark.parametrize("classes", [[0, 2], [-1], []])
def test_a_class_out_of_range_is_told_with_the_range(
    line: dict[str, Path], refused: Refused, tmp_path: Path, classes: list[int]
) -> None:
    given = {"model": line["model"], "tokenizer": line["tokenizer"], "out": tmp_path / "samples"}
    told = refused(words("generate", samples_recipe(count=4, classes=classes), **given))
    assert told.startswith(f"samples.classes: {classes[-1] if classes else 'an empty list'} is no class")
    assert told.endswith("its classes are 0..1")
    assert made(tmp_path / "samples") == []
