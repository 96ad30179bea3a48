"""What `oarpipe status` says of results in every state."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base import heartbeat
from oarpipe.base.attempts import end_all
from oarpipe.base.files import write_text
from oarpipe.base.log import progress
from oarpipe.base.receipts import Stage
from oarpipe.base.shards import Shard
from oarpipe.cli import main
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from tests.stages.ingredients import orders_recipe


@pytest.fixture
def results(tmp_path: Path) -> Iterator[Path]:
    """A book's results folder; the marks that a test took are given up at its end."""
    yield tmp_path / "book"
    heartbeat.release_all()


def asked_for(results: Path, recipe: Recipe[Any]) -> Stage:
    """The stage of an entry whose recipe lies where the workflow writes it."""
    write_text(results / "recipes" / recipe.table / recipe.file_name(), recipe.text())
    return Stage(recipe, results / f"seed-{recipe.seed}" / recipe.table / recipe.name)


def digits(name: str, resolution: int = 24) -> Recipe[DigitsConfig]:
    return Recipe("datasets", name, 0, DigitsConfig(kind="digits", resolution=resolution))


def finish(stage: Stage) -> None:
    assert not stage.is_done()
    write_text(stage.out / "data.txt", "images")
    stage.finish("data.txt")


def rows(results: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    assert main(["status", str(results), "--json"]) == 0
    return {row["folder"]: row for row in json.loads(capsys.readouterr().out)}


def row(results: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (found,) = rows(results, capsys).values()
    return found


def die(results: Path) -> None:
    """Makes every mark one of a process that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    for file in results.rglob(".writer*.json"):
        facts = json.loads(file.read_text())
        file.write_text(json.dumps(facts | {"pid": child.pid}))


def test_what_was_made_is_done_and_what_has_not_begun_waits(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(asked_for(results, digits("made")))
    asked_for(results, digits("wanted"))
    assert main(["status", str(results)]) == 0
    first, second, sums = capsys.readouterr().out.splitlines()
    assert first.startswith("seed-0/datasets/made    done    in 0:00, ")
    assert second == "seed-0/datasets/wanted  waiting"
    assert sums == "1 done, 1 waiting"


def test_results_of_a_recipe_that_was_changed_wait_to_be_made_anew(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(asked_for(results, digits("made")))
    file = results / "recipes" / "datasets" / digits("made").file_name()
    os.utime(file, (0, 0))
    asked_for(results, digits("made", resolution=32))
    assert row(results, capsys)["state"] == "waiting"


def test_running_work_tells_who_is_at_it_how_far_and_how_long_it_takes(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert not asked_for(results, digits("digits")).is_done()
    loop = progress(range(10), "digits", unit="part")
    for _ in range(5):
        next(loop)
    for mark in list(heartbeat._held.values()):
        mark.beat()
    found = row(results, capsys)
    assert found["state"] == "running"
    assert found["who"].endswith("(job 17)")
    assert found["progress"] == "4/10 part"
    assert 0 <= found["left"] < 10


def test_shards_are_told_together(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = asked_for(results, orders_recipe())
    for k in (1, 2, 3):
        assert not stage.is_done(Shard(k, 3))
        if k == 1:
            stage.finish_shard(Shard(k, 3))
    found = row(results, capsys)
    assert found["state"] == "running"
    assert found["who"].endswith(" and 1 more")
    assert found["progress"].endswith(" in 2 shards, 1 shards done")


def test_who_was_killed_has_stopped_and_can_go_on(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not asked_for(results, digits("digits")).is_done()
    die(results)
    found = row(results, capsys)
    assert found["state"] == "stopped"
    assert found["told"].endswith("goes on when it is run again")


def test_what_failed_tells_why_and_how_its_log_ends(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not asked_for(results, digits("digits")).is_done()
    write_text(results / "logs" / "index" / "digits.seed-0.log", "one\ntwo\nthree\nfour\n")
    end_all(RuntimeError("broken"))
    found = row(results, capsys)
    assert found["state"] == "failed"
    assert found["told"].splitlines()[:-1] == ["RuntimeError: broken", "two", "three", "four"]
    assert not asked_for(results, digits("digits")).is_done()
    die(results)
    assert row(results, capsys)["state"] == "stopped"


def test_what_was_refused_before_it_began_has_failed_by_its_log(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked_for(results, digits("digits"))
    write_text(results / "logs" / "index" / "digits.seed-0.log", "index: no such folder\n")
    found = row(results, capsys)
    assert (found["state"], found["told"].splitlines()[0]) == ("failed", "index: no such folder")


def test_a_folder_that_is_no_books_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert "no recipes in it; name the results of a book" in capsys.readouterr().err
