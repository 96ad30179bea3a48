"""Bad input, as a user meets it: one line that names the file or key and says what to do, exit 2,
nothing half-written, and a second run that goes on where the first one had to stop."""

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.base.files import sha256
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.datasets import FolderConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.sharded import ShardedStore
from oarpipe.training import loop
from oarpipe.training.checkpoints import Checkpoints
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
from tests.training.toy import Killed, saving_at

TINY = Path(__file__).parent.parent / "config" / "tiny.yaml"
TIME = re.compile(r"\d\d:\d\d:\d\d ")


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


@pytest.fixture
def line(tmp_path: Path) -> dict[str, Path]:
    """Results folders to spoil."""
    store = tokens(tmp_path / "tokens", grid=SQUARE)
    return {
        "tokens": store,
        "model": real_model(tmp_path / "any", store),
        "tokenizer": real_tokenizer(tmp_path / "tokenizer"),
    }


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused; returns the one line that is told."""

    def run(command: list[str]) -> str:
        capsys.readouterr()
        assert main(command) == 2
        *before, told = capsys.readouterr().err.splitlines()
        assert told.startswith("oarpipe: ")
        assert all(TIME.match(other) for other in before), before  # what the stage told while it worked
        return told.removeprefix("oarpipe: ")

    return run


def made(out: Path) -> list[Path]:
    """The files below a results folder, but for the word of how the attempt ended."""
    return [file for file in out.rglob("*") if file.is_file() and not file.name.startswith("ended")]


def half_written(out: Path) -> list[Path]:
    """Anything under a final name, and anything partial."""
    return [
        file
        for file in out.rglob("*")
        if ".partial" in file.name or (file.parent == out and file.name not in ("state", "metrics.jsonl"))
    ]


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


def test_a_truncated_part_is_named_and_only_it_is_extracted_again(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    recipe, out = orders_recipe(part=3), tmp_path / "greedy"
    given = {"model": line["model"], "tokens": line["tokens"], "out": out}
    assert main(words("extract", recipe, **given)) == 0
    parts = sorted(out.rglob("*.parquet"))
    parts[1].write_bytes(parts[1].read_bytes()[:-9])
    told = refused(words("merge_orders", recipe, **given))
    assert told.startswith(f"{parts[1]}: truncated or damaged")
    assert told.endswith("delete it and extract again")
    assert not (out / "orders.parquet").exists()
    parts[1].unlink()
    kept = {part: part.stat().st_mtime_ns for part in parts if part.exists()}
    assert main(words("extract", recipe, **given)) == 0
    assert {part: part.stat().st_mtime_ns for part in kept} == kept
    assert main(words("merge_orders", recipe, **given)) == 0
    checked(out, "orders")


def test_a_damaged_chunk_is_named_and_its_store_is_made_anew(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    chunk = line["tokens"] / "tokens.zarr/tokens/c/1/0/0"
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    command = words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "m")
    told = refused(command)
    assert told.startswith(f"{chunk} is damaged")
    assert f"delete {line['tokens']} and run again" in told
    assert not (tmp_path / "m").exists()
    shutil.rmtree(line["tokens"])
    tokens(line["tokens"], grid=SQUARE)
    assert main(command) == 0


def test_a_half_written_checkpoint_is_named_and_the_one_before_goes_on(
    line: dict[str, Path], refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "whole")
    assert main(command) == 0
    save = Checkpoints.save

    def deadly(self: Checkpoints, step: int, *arguments: Any) -> None:
        save(self, step, *arguments)
        if step == 4:
            raise Killed

    command = words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "m")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", saving_at(2, 4))
        patch.setattr(Checkpoints, "save", deadly)
        with pytest.raises(Killed):
            main(command)
    first, second = sorted((tmp_path / "m").rglob("step-*.safetensors"))
    second.write_bytes(second.read_bytes()[:1000])
    told = refused(command)
    assert told.startswith(f"{second}: damaged checkpoint")
    assert told.endswith("delete it to go on from step 2")
    assert first.exists()
    second.unlink()
    assert main(command) == 0
    assert sha256(tmp_path / "m/model.safetensors") == sha256(tmp_path / "whole/model.safetensors")


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


def full_disk(*arguments: object, **options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FULL = "the disk is full; free some space, then run the same command again"


@pytest.mark.parametrize(
    ("verb", "where", "file"),
    [
        ("train", "oarpipe.base.files.os.fsync", "model.safetensors"),
        ("extract", "oarpipe.base.files.os.fsync", r"state/\w+/orders-000000000-000000008.parquet"),
        ("generate", "zarr.Array.__setitem__", r"state/\w+/samples.zarr/images/c/0/0/0/0"),
    ],
)
def test_a_full_disk_is_told_with_the_file_and_the_second_run_goes_on(
    line: dict[str, Path],
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    where: str,
    file: str,
) -> None:
    recipes: dict[str, Recipe[Any]] = {
        "train": model_recipe(), "extract": orders_recipe(), "generate": samples_recipe(count=4),
    }  # fmt: skip
    needs = {"train": ["tokens"], "extract": ["tokens", "model"], "generate": ["model", "tokenizer"]}[verb]
    command = words(verb, recipes[verb], **{name: line[name] for name in needs}, out=tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(where, full_disk)
        told = refused(command)
    assert re.fullmatch(rf"{tmp_path}/out/{file}: {FULL}", told), told
    assert not half_written(tmp_path / "out")
    assert main(command) == 0


def test_a_disk_that_fills_up_between_checkpoints_loses_only_the_steps_since(
    line: dict[str, Path], refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "whole")
    assert main(command) == 0
    save = Checkpoints.save

    def filling(self: Checkpoints, step: int, *arguments: Any) -> None:
        save(self, step, *arguments)
        if step == 4:
            full_disk()

    command = words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "m")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", saving_at(2, 4))
        patch.setattr(Checkpoints, "save", filling)
        assert refused(command) == f"{tmp_path}/m: {FULL}"
    assert not half_written(tmp_path / "m")
    assert main(command) == 0
    assert [told["step"] for told in read_metrics(tmp_path / "m" / "metrics.jsonl")] == list(range(6))
    assert sha256(tmp_path / "m/model.safetensors") == sha256(tmp_path / "whole/model.safetensors")


def test_a_results_folder_of_another_format_is_named_and_an_output_of_one_is_made_anew(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    out = tmp_path / "m"
    command = words("train", model_recipe(), tokens=line["tokens"], out=out)
    assert main(command) == 0
    for folder in (line["tokens"], out):
        for name in ("receipt.json", ".done.json"):
            content = json.loads((folder / name).read_text())
            (folder / name).write_text(json.dumps({**content, "format": 0}))
    told = refused(command)
    assert told == (
        f"{line['tokens']}/receipt.json: written in format 0, this oarpipe reads format 1 of tokens; "
        f"delete {line['tokens']} and run again"
    )
    shutil.rmtree(line["tokens"])
    tokens(line["tokens"], grid=SQUARE)
    before = sha256(out / "model.safetensors")
    assert main(command) == 0
    assert checked(out, "models").format == 1
    assert sha256(out / "model.safetensors") == before


def test_a_receipt_of_a_later_version_with_other_fields_is_named(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    receipt = line["tokens"] / "receipt.json"
    content = json.loads(receipt.read_text())
    receipt.write_text(json.dumps({**content, "format": 2, "signature": "…"}))
    told = refused(words("train", model_recipe(), tokens=line["tokens"], out=tmp_path / "m"))
    assert told.startswith(f"{receipt}: not a receipt of oarpipe")
    assert told.endswith("delete it and run again")


def test_a_store_that_lost_a_shard_while_it_was_filled_is_refused_until_it_is_whole(
    line: dict[str, Path], refused: Refused, tmp_path: Path
) -> None:
    recipe, out = samples_recipe(count=6, shard=2), tmp_path / "samples"
    given = {"model": line["model"], "tokenizer": line["tokenizer"], "out": out}
    assert main(words("generate", recipe, **given)) == 0
    state = next(out.glob("state/*/samples.zarr"))
    ShardedStore.open(state).file_of("images", 1).unlink()
    told = refused(words("merge_samples", recipe, **given))
    assert told.startswith(f"{out}: 1 of 3 shards are missing (samples 2..3); run generate for every shard")
    assert not (out / "samples.zarr").exists()
    assert main(words("generate", recipe, **given)) == 0
    assert main(words("merge_samples", recipe, **given)) == 0
    checked(out, "samples")
