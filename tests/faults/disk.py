"""A disk that fails when told to, and commands that work on it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("disk.c")
DIE, FULL = 1, 2
KILLED = -9


@dataclass(frozen=True)
class Ended:
    """How a command ended: its status, what it said, and each thing that it did to files, in order."""

    status: int
    said: str
    did: list[str]


class Disk:
    """Commands, forked from a process that has everything imported; `folder` is for the library and logs."""

    def __init__(self, folder: Path) -> None:
        library = folder / "disk.so"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self._folder = folder
        environment = {**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server", str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def run(self, words: list[str], below: Path, *, at: int = 0, how: int = DIE) -> Ended:
        """Runs `oarpipe WORDS…`; at the operation `at` below a folder (from 1; 0: never) the disk fails."""
        told, said = self._folder / "told.txt", self._folder / "said.txt"
        asked = {"words": words, "folder": str(below), "told": str(told), "said": str(said)}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps({**asked, "at": at, "how": how}), file=self._server.stdin, flush=True)
        status = int(self._server.stdout.readline())
        return Ended(status, said.read_text(), told.read_text().splitlines())

    def close(self) -> None:
        """Ends the server."""
        self._server.communicate()
