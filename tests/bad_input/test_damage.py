"""Damage and full disks: one line that names the file and says what to do, exit 2, nothing half-written, and
a second run that goes on where the first one had to stop."""

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.files import sha256
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.recipe import Recipe
from oarpipe.data.sharded import ShardedStore
from oarpipe.training.checkpoints import Checkpoints
from tests.bad_input.conftest import Refused, half_written
from tests.stages.ingredients import SQUARE, model_recipe, orders_recipe, samples_recipe, tokens, words
from tests.training.toy import Killed, saving_at


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
