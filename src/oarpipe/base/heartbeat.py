"""One writer at a time: a mark beside what is written, renewed while its writer lives.

It needs no locks of the file system: a mark is created exclusively, renewed by renaming, and taken
from a dead writer by renaming it away. Where two see each other's process, they look whether it lives.
Elsewhere ages are differences of times that the file server gave, and a mark is also watched for a
while, so that clocks that differ do no harm.
"""

import _thread
import atexit
import contextlib
import json
import os
import platform
import signal
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from oarpipe.base.log import latest_progress, log
from oarpipe.base.stopping import batch_job, stop_requested, time_limit
from oarpipe.errors import naming

BEAT = 15.0  # seconds between two signs of life
DEAD_AFTER = 12  # beats that failed to come, by the file server's clock
WATCHED = 4  # beats that a waiting process has seen none of, by its own
LOOK = 2.0  # seconds between two looks of a waiting process
TELL = 60.0  # seconds between two messages of it
SETTLE = 0.2  # seconds after which a mark taken from the dead must still be ours
TOLD = {"nonce", "host", "pid", "started", "place", "job", "limit", "since", "beats"}  # by a whole mark

_held: dict[Path, "Mark"] = {}
_guard = threading.RLock()


class Mark:
    """This process's claim to write something; `file` lies beside it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._nonce = uuid.uuid4().hex
        self._pid = os.getpid()
        self._beats = 0
        self._since = time.strftime("%Y-%m-%d %H:%M:%S")

    def take(self) -> dict[str, Any] | None:
        """Waits until nobody else writes; returns what a dead writer, whose mark this was, last told."""
        with _guard:
            mine = _held.get(self.file.absolute())
        if mine is not None:  # this process failed before, and tries again
            self._nonce = mine._nonce
            return None
        self.file.parent.mkdir(parents=True, exist_ok=True)
        dead = self._wait()
        with _guard:
            _held[self.file.absolute()] = self
        _start_beating()
        return dead

    def _wait(self) -> dict[str, Any] | None:
        dead, watched, told = None, _Watched(self.file), -TELL
        with stop_requested() as stop:
            while not (self._create() and (dead is None or self._is_settled())):
                seen = watched.look()
                if seen is None:
                    continue
                if seen.is_dead():
                    dead = seen.facts if self._bury(seen) else dead
                    continue
                if time.monotonic() - told >= TELL:
                    told = time.monotonic()
                    log.warning("%s: %s; waiting for it", self.file.parent, seen.description())
                time.sleep(LOOK)
                if stop.requested:
                    stop.leave()
        return dead

    def _create(self) -> bool:
        try:
            handle = os.open(self.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            with naming(self.file), os.fdopen(handle, "w") as out:
                out.write(self._text())
        except OSError:  # a full disk, which leaves a claim that nobody makes
            self.file.unlink(missing_ok=True)
            raise
        return True

    def _bury(self, seen: "Seen") -> bool:
        """Removes a dead writer's mark; one that is already another's, who was quicker, is put back."""
        grave = self.file.with_name(f"{self.file.name}.{self._nonce}.partial")
        try:
            if _read(self.file) != seen.text:
                return False
            os.rename(self.file, grave)
            if _read(grave) == seen.text:
                return True
            with contextlib.suppress(FileExistsError):
                os.link(grave, self.file)
            return False
        except FileNotFoundError:
            return False
        finally:
            grave.unlink(missing_ok=True)

    def _is_settled(self) -> bool:
        time.sleep(SETTLE)
        return self._is_mine()

    def _is_mine(self) -> bool:
        return bool(_facts(_read(self.file)).get("nonce") == self._nonce)

    def beat(self) -> None:
        """A sign of life. Who finds another's mark in its place was taken for dead, and leaves off."""
        self._beats += 1
        try:
            if not self.file.is_file():
                return
            if self._is_mine():
                replace_text(self.file, self._text())
                return
        except OSError:  # such as a full disk, which still takes times
            with contextlib.suppress(OSError):
                os.utime(self.file)
            return
        _held.pop(self.file.absolute(), None)
        log.warning("%s: another has taken this over, because no sign came from here", self.file.parent)
        _thread.interrupt_main(signal.SIGTERM)

    def release(self) -> None:
        """Lets others write."""
        with _guard, contextlib.suppress(OSError):
            _held.pop(self.file.absolute(), None)
            if self._pid == os.getpid() and self._is_mine():  # a forked child ends without a word
                self.file.unlink()
                for half in self.file.parent.glob(f"{self.file.name}.*.partial"):  # of those that were killed
                    half.unlink(missing_ok=True)

    def _text(self) -> str:
        facts = {
            "nonce": self._nonce,
            "host": platform.node(),
            "pid": self._pid,
            "started": _start_of(self._pid),
            "place": _place(),
            "job": batch_job(),
            "limit": time_limit(),
            "since": self._since,
            "beats": self._beats,
            "progress": latest_progress(),
        }
        return json.dumps(facts) + "\n"


class Seen:
    """A mark as it was looked at: its text, its age in seconds, and for how long it has not changed."""

    def __init__(self, text: str, age: float, unchanged: float) -> None:
        self.text = text
        self.facts = _facts(text)
        self.age = age
        self._unchanged = unchanged

    def is_dead(self) -> bool:
        """Whether its writer lives no more, as far as can be told from here."""
        place = self.facts.get("place")
        if place is not None and place == _place():
            return bool(_start_of(self.facts["pid"]) != self.facts["started"])
        return self.age >= DEAD_AFTER * BEAT and self._unchanged >= WATCHED * BEAT

    def description(self) -> str:
        """Who writes, since when, and how long ago it gave a sign."""
        facts = self.facts
        if not facts:
            return "being written by a process that has just begun"
        job = f", job {facts['job']}" if facts["job"] else ""
        return (
            f"being written by process {facts['pid']} on {facts['host']}{job}, since {facts['since']}, "
            f"last sign {max(self.age, 0):.0f} s ago"
        )


def look_at(file: Path) -> Seen | None:
    """A mark as it is now; None if there is none. Its age is exact where the folder can be written to."""
    text = _read(file)
    if text is None:
        return None
    try:
        age = _server_time(file) - file.stat().st_mtime
    except FileNotFoundError:
        return None
    return Seen(text, age, float("inf"))


class _Watched:
    """A mark that is looked at again and again; time while the looker was stopped does not count."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = ""
        self._unchanged = 0.0
        self._last = time.monotonic()

    def look(self) -> Seen | None:
        now = time.monotonic()
        self._unchanged += min(now - self._last, 2 * LOOK)
        self._last = now
        seen = look_at(self._file)
        if seen is None:
            return None
        if seen.text != self._known:
            self._known, self._unchanged = seen.text, 0.0
        return Seen(seen.text, seen.age, self._unchanged)


def release_all() -> None:
    """Gives up every mark that this process holds."""
    for mark in list(_held.values()):
        mark.release()


def replace_text(file: Path, text: str) -> None:
    """Writes beside `file`, and renames."""
    partial = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.write_text(text)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def _start_beating() -> None:
    """One thread beats for all marks of the process; it needs none while it holds none."""
    with _guard:
        if any(thread.name == "heartbeat" for thread in threading.enumerate()):
            return
        threading.Thread(target=_beat_forever, name="heartbeat", daemon=True).start()


def _beat_forever() -> None:
    while True:
        time.sleep(BEAT)
        with _guard:
            for mark in list(_held.values()):
                mark.beat()


def _server_time(file: Path) -> float:
    """The file server's clock, by the time that it gives a new file; our own where none can be made."""
    probe = file.with_name(f"{file.name}.{uuid.uuid4().hex}.partial")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def _read(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _facts(text: str | None) -> dict[str, Any]:
    """What a mark tells; nothing if it is half-written or damaged."""
    try:
        facts = json.loads(text or "")
    except json.JSONDecodeError:
        return {}
    return facts if isinstance(facts, dict) and facts.keys() >= TOLD else {}


def _place() -> str | None:
    """Names those who see each other's processes: one boot of a machine, one container; None if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return None


def _start_of(pid: int) -> str | None:
    """When a process of this place started, in the kernel's ticks; None if it is no more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


atexit.register(release_all)
