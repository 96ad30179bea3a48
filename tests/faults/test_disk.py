"""A process that dies, or whose disk fills up, at any of its operations on files: the same command again
makes what it would have made undisturbed, and leaves nothing else behind.

The suite tries operations spread over every command; `make faults` tries every one.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disk import DIE, FULL, KILLED, Disk
from tests.faults.line import Work, content, digest

VERBS = [
    *("index", "train_features", "train_tokenizer", "tokenize", "train", "extract", "merge_orders"),
    *("train_order_head", "generate", "merge_samples", "distill", "search", "information", "features"),
    *("evaluate", pytest.param("report", marks=pytest.mark.faults)),  # seconds each
]
TAKES_SPACE = ("open", "write", "fsync", "truncate", "mkdir", "link")
REFUSAL = "the disk is full; free some space, then run the same command again"


class Trial:
    """A command that is disturbed again and again; `did` is what it does to files if it is not."""

    def __init__(self, disk: Disk, work: Work, verb: str, before: Path) -> None:
        self._disk, self.out, self._before = disk, work.out, before
        number = [command[0] for command in work.commands].index(verb)
        self._command, *self._others = work.commands[number:]
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        self._run(*work.commands[:number])
        self.out.rename(before)
        shutil.copytree(before, self.out)
        self.did = disk.run(self._command, self.out).did
        self._run(*self._others)
        self._content, self._digest = content(self.out), digest(self.out)

    def disturb(self, at: int, how: int) -> tuple[int, str]:
        """How the command ends if this operation fails, and its last line; what has a final name is whole."""
        shutil.rmtree(self.out)
        shutil.copytree(self._before, self.out)
        ended = self._disk.run(self._command, self.out, at=at, how=how)
        for name, found in content(self.out).items():
            assert name == "metrics.jsonl" or found == self._content.get(name, found), name
        return ended.status, ended.said.rpartition("oarpipe: ")[2].strip()

    def make_good(self) -> None:
        """The same command again, and those after it, make what was to be made, and leave nothing else."""
        self._run(self._command, *self._others)
        assert digest(self.out) == self._digest
        assert content(self.out) == self._content

    def places(self, *kinds: str) -> list[int]:
        """The numbers of its operations, or of those of some kinds."""
        return [at for at, what in enumerate(self.did, start=1) if what.startswith(kinds)]

    def _run(self, *commands: list[str]) -> None:
        for command in commands:
            ended = self._disk.run(command, self.out)
            assert ended.status == 0, ended.said


@pytest.fixture(scope="module", params=VERBS)
def trial(
    request: pytest.FixtureRequest, disk: Disk, shelf: list[Work], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trial]:
    """The command of each stage."""
    verb = request.param
    work = next(work for work in shelf if verb in [command[0] for command in work.commands])
    made = Trial(disk, work, verb, tmp_path_factory.mktemp(verb) / "before")
    yield made
    shutil.rmtree(made.out)


def spread(places: list[int], count: int) -> list[int]:
    """So many of them, evenly spread over what lies between the first and the last."""
    return [places[(2 * i + 1) * len(places) // (2 * count)] for i in range(count)]


def die_at(trial: Trial, places: list[int]) -> None:
    for at in places:
        assert trial.disturb(at, DIE)[0] == KILLED, trial.did[at - 1]
        trial.make_good()


def fill_at(trial: Trial, places: list[int]) -> None:
    for at in places:
        status, said = trial.disturb(at, FULL)
        assert status == 2, said
        assert re.fullmatch(rf"{trial.out}(/[\w./-]+)?: {REFUSAL}", said), (trial.did[at - 1], said)
        assert not [name for name in content(trial.out) if ".partial" in name or ".tmp" in name]
        trial.make_good()


def test_what_is_killed_while_it_writes_is_made_good(trial: Trial) -> None:
    die_at(trial, spread(trial.places(""), 2))


def test_a_disk_that_fills_up_is_told_with_the_file_and_the_second_run_makes_it_good(trial: Trial) -> None:
    fill_at(trial, spread(trial.places(*TAKES_SPACE), 1))


@pytest.mark.faults
def test_a_kill_at_any_operation_whatever_is_made_good(trial: Trial) -> None:
    die_at(trial, trial.places(""))


@pytest.mark.faults
def test_a_disk_that_is_full_at_any_operation_whatever_is_made_good(trial: Trial) -> None:
    fill_at(trial, trial.places(*TAKES_SPACE))


def test_what_a_receipt_lists_is_on_the_disk_before_it(trial: Trial) -> None:
    """Or a receipt could survive a power cut, and hours of work not."""
    receipt = next((at for at, what in enumerate(trial.did) if "/.done.json" in what), None)
    if receipt is None:  # a shard's, which lists nothing
        return
    for name in json.loads((trial.out / "receipt.json").read_text())["files"]:
        assert f"fsync /{name}" in trial.did[:receipt], name
