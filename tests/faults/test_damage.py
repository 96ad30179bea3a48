"""Files that were altered while nobody looked, cut short, or lost to a power cut (zeros where data was).

Whatever file of half-done work it is: it does no harm, or one line names it and says what to delete, and the
same commands then make what they would have made.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oarpipe.base.files import remove
from tests.faults.disk import DIE, KILLED, Disk
from tests.faults.line import Work, content, digest

HARMS: dict[str, Callable[[bytes], bytes]] = {
    "a bit flipped": lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 0x10]) + b[len(b) // 2 + 1 :],
    "cut short": lambda b: b[: len(b) // 2],
    "zeros": lambda b: bytes(len(b)),
    "no text": lambda b: b"\xff" * len(b),
}
TOLD = "metrics.jsonl"
QUICK = ["train", "merge_orders"]
VERBS = [
    *(*QUICK, "tokenize", "merge_samples", "train_tokenizer", "train_order_head", "search"),
    *("information", "evaluate"),
]


class HalfDone:
    """Work whose last command was killed when all but its receipt was there."""

    def __init__(self, disk: Disk, work: Work, before: Path) -> None:
        self._disk, self._work, self._before = disk, work, before
        self.out = work.out
        shutil.rmtree(self.out, ignore_errors=True)
        *others, last = work.commands
        self._run(*others)
        self.out.mkdir(exist_ok=True)
        shutil.copytree(self.out, before)
        did = disk.run(last, self.out).did
        self._content, self._digest = content(self.out), digest(self.out)
        self._content.pop(TOLD, None)  # its lines are kept up to the damaged one
        self.begin()
        at = 1 + next(i for i, what in enumerate(did) if what.startswith("open /run.json"))
        assert disk.run(last, self.out, at=at, how=DIE).status == KILLED
        remove(before)
        self.out.rename(before)
        self.begin()

    def begin(self) -> None:
        """As it was left."""
        remove(self.out)
        shutil.copytree(self._before, self.out)

    def files(self) -> list[Path]:
        """All that could be damaged."""
        return sorted(file for file in self.out.rglob("*") if file.is_file() and file.stat().st_size)

    def harm(self, file: Path, how: str) -> str | None:
        """Damages a file and goes on; what was told of it, if it was refused."""
        self.begin()
        file.write_bytes(HARMS[how](file.read_bytes()))
        ended = self._disk.run(self._work.commands[-1], self.out)
        assert ended.status in (0, 2), f"{file}, {how}: {ended.said}"
        if ended.status == 0:
            return None
        told = ended.said.splitlines()[-1].removeprefix("oarpipe: ")
        advice = re.search(r"delete (\S+)", told)
        assert advice, f"{file}, {how}: {told}"
        named = Path(advice[1]) if advice[1].startswith("/") else Path(told.partition(":")[0])
        assert named == file or named in file.parents, f"{file}, {how}: {told}"
        remove(named)
        return told

    def make_good(self, what: str) -> None:
        self._run(*self._work.commands)
        assert digest(self.out) == self._digest, what
        now = content(self.out)
        assert {k: v for k, v in now.items() if k != TOLD} == self._content, what

    def _run(self, *commands: list[str]) -> None:
        for command in commands:
            ended = self._disk.run(command, self.out)
            assert ended.status == 0, ended.said


@pytest.fixture
def half_done(
    request: pytest.FixtureRequest, disk: Disk, shelf: list[Work], tmp_path: Path
) -> Iterator[HalfDone]:
    """The work whose last command is the test's."""
    work = next(work for work in shelf if work.commands[-1][0] == request.param)
    made = HalfDone(disk, work, tmp_path / "before")
    yield made
    shutil.rmtree(made.out)


@pytest.mark.parametrize("half_done", QUICK, indirect=True)
def test_a_flipped_bit_does_no_harm_or_is_told_with_the_file(half_done: HalfDone) -> None:
    for file in half_done.files():
        half_done.harm(file, "a bit flipped")
        half_done.make_good(str(file))


@pytest.mark.faults
@pytest.mark.parametrize("half_done", VERBS, indirect=True)
def test_whatever_befell_a_file_does_no_harm_or_is_told_with_it(half_done: HalfDone) -> None:
    for file in half_done.files():
        for how in HARMS:
            half_done.harm(file, how)
            half_done.make_good(f"{file}, {how}")
