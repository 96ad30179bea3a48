"""Two at the same work: of commands, the second waits and finds it done; of Snakemakes, it is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import children
from tests.faults.line import content
from tests.stages.ingredients import SQUARE, model_recipe, tokens, words
from tests.workflow.test_workflow import Line

INDEX = "results/tiny/seed-0/datasets/digits/receipt.json"
# In place of a stage that takes long: it tells that it has begun, and waits for a file.
SLOW = """#!/bin/sh
touch begun
while [ ! -e gate ]; do sleep 0.05; done
exec "$0.stand_in" "$@"
"""


def test_of_commands_that_come_at_once_one_works_and_the_others_find_it_done(tmp_path: Path) -> None:
    store, recipe = tokens(tmp_path / "tokens", grid=SQUARE), model_recipe(steps=20)
    alone = children.start(words("train", recipe, tokens=store, out=tmp_path / "alone"))
    alone.join()
    out, logs = tmp_path / "shared", [tmp_path / f"{i}.log" for i in range(3)]
    command = words("train", recipe, tokens=store, out=out)
    running = [children.start([*command, "--log", str(log)]) for log in logs]
    for child in running:
        child.join()
    assert [child.exitcode for child in running] == [0, 0, 0]
    assert sum("is already complete" in log.read_text() for log in logs) == 2
    assert content(out) == content(tmp_path / "alone")


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Line]:
    """A line whose stages wait until `gate` is there."""
    line = Line(tmp_path)
    command = tmp_path / "bin" / "oarpipe"
    command.rename(f"{command}.stand_in")
    command.write_text(SLOW)
    command.chmod(0o755)
    yield line
    (tmp_path / "gate").touch()


def test_of_two_snakemakes_the_second_is_refused_and_the_first_undisturbed(slow: Line) -> None:
    first = slow.start("--cores", "1", INDEX)
    while not (slow.folder / "begun").exists():
        assert first.poll() is None
    second = slow.snakemake("--cores", "1", INDEX)
    assert second.returncode == 1
    assert "Directory cannot be locked" in second.stderr
    assert "Traceback" not in second.stderr
    (slow.folder / "gate").touch()
    first.communicate()
    assert first.returncode == 0
    assert (slow.folder / INDEX).is_file()
