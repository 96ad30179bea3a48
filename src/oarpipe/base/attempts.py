"""One process's go at a piece of work: it waits for its turn, tells how it ended, and is not made in vain.

How it ended lies in the state folder. In a batch job, two attempts in a row that ran out of time or broke
down, and left the work as it was, are the last: what is retried then fails at once, and says why.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from oarpipe.base import heartbeat
from oarpipe.base.heartbeat import Mark, release_all, replace_text
from oarpipe.base.stopping import NEARLY, Left, batch_job, time_limit
from oarpipe.errors import NoProgress, OarpipeError

MARK = ".writer{}.json"  # beside the results; of a shard, .writer.3-of-8.json
ENDED = "ended{}.json"  # in the state folder

_running: "list[Attempt]" = []


class Attempt:
    """Work on `out` whose state lies in `state`; of a scattered entry, that of one shard."""

    def __init__(self, out: Path, state: Path, shard: str) -> None:
        part = f".{shard}" if shard else ""
        self._out = out
        self._ended = state / ENDED.format(part)
        self._mark = Mark(out / MARK.format(part))

    def begin(self) -> None:
        """Waits until nobody else is at it; `NoProgress` if it was tried in vain."""
        self._check()
        dead = self._mark.take()
        _running[:] = [self]  # one that failed before, in the same process, is over
        self._check()
        lived = heartbeat.BEAT * (dead["beats"] + 1) if dead else 0.0
        if dead and dead["limit"] and lived >= NEARLY * dead["limit"]:
            why = f"job {dead['job']} was ended at its limit, {dead['limit'] / 60:g} min"
            if self._tell("stopped", why, in_vain=True):
                self._check()

    def finish(self) -> None:
        """The work is done: the next one may come."""
        self._ended.unlink(missing_ok=True)
        self._mark.release()
        if self in _running:
            _running.remove(self)

    def end(self, error: BaseException) -> None:
        """The work is not done; `NoProgress` if it is no use to try again."""
        if isinstance(error, NoProgress):
            return
        told = " ".join(str(error).split())[:500]
        if isinstance(error, Left):
            is_last = self._tell("stopped", error.why, in_vain=error.out_of_time)
        elif isinstance(error, KeyboardInterrupt):
            is_last = self._tell("stopped", "it was interrupted", in_vain=False)
        elif isinstance(error, OarpipeError | OSError):
            is_last = self._tell("failed", told, in_vain=False)
        else:
            is_last = self._tell("failed", f"{type(error).__name__}: {told}", in_vain=True)
        if is_last:
            self._check()

    def _tell(self, how: str, why: str, *, in_vain: bool) -> bool:
        """Writes how it ended; whether the last one ended in vain too, and nothing has been added since."""
        work = _work(self._out)
        in_vain = in_vain and batch_job() is not None
        before = _read(self._ended)
        is_last = in_vain and before.get("in_vain") is True and before.get("work") == work
        limit = time_limit()
        facts = {
            "how": "stuck" if is_last else how,
            "why": why,
            "in_vain": in_vain,
            "work": work,
            "limit": None if limit is None else limit / 60,
            "when": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        self._ended.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self._ended, json.dumps(facts, indent=1) + "\n")
        return is_last

    def _check(self) -> None:
        """Refuses work that was tried twice in vain."""
        facts = _read(self._ended)
        if facts.get("how") != "stuck":
            return
        limit = f" of {facts['limit']:g} min" if facts["limit"] else ""
        raise NoProgress(
            f"{self._out}: two attempts in a row{limit} got no further; the last ended at {facts['when']}: "
            f"{facts['why']}. Give it more time (the rule's `runtime`) or smaller parts, mend what broke it, "
            f"and delete {self._ended} to try again"
        )


def end_all(error: BaseException) -> None:
    """The command ends with `error`: what was begun and not finished tells so; may raise `NoProgress`."""
    try:
        for attempt in list(_running):
            with contextlib.suppress(OSError):  # such as a disk that is full
                attempt.end(error)
    finally:
        _running.clear()
        release_all()


def _work(out: Path) -> str:
    """A hash of the names of all files below a folder: of work that goes on, some are new."""
    names = sorted(
        os.path.relpath(os.path.join(folder, name), out)
        for folder, _, files in os.walk(out)
        for name in files
        if ".partial" not in folder + name and not name.startswith((".writer", "ended"))
    )
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _read(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
