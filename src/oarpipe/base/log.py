"""What a stage tells while it works: bars or lines for people, metrics.jsonl for programs."""

import json
import logging
import math
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from oarpipe.base.distributed import leads, world
from oarpipe.errors import naming

T = TypeVar("T")
log = logging.getLogger("oarpipe")

# Where no bar can be drawn, progress is a line this often.
SECONDS_BETWEEN_LINES = 15.0


def set_up_logging(who: str = "", file: Path | None = None) -> None:
    """Plain lines with the time of day and `who` speaks, on standard error and, if given, in `file`.

    Of several processes only the first speaks; of the others one hears what they fail of.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = "w" if leads() else "a"
        handlers.append(logging.FileHandler(file, mode, delay=not leads()))
    if not leads():
        who = f"{who}, process {world().rank + 1} of {world().size}"
    speaker = f"{who.replace('%', '%%')}: " if who else ""
    logging.basicConfig(
        handlers=handlers,
        level=logging.INFO if leads() else logging.ERROR,
        format=f"%(asctime)s {speaker}%(message)s",
        datefmt="%H:%M:%S",
        force=True,
    )
    logging.captureWarnings(True)


def progress(
    items: Iterable[T], what: str, *, total: int | None = None, done: int = 0, unit: str = "it"
) -> Iterator[T]:
    """Iterates with a progress bar; in a log or a pipe the bar becomes a line every quarter minute."""
    if total is None and isinstance(items, Sized):
        total = len(items) + done
    if sys.stderr.isatty() and not _writes_a_file() and leads():
        items = tqdm(
            items, desc=what, total=total, initial=done, unit=unit, dynamic_ncols=True, file=sys.stderr
        )
        lines_every = math.inf
    else:
        lines_every = SECONDS_BETWEEN_LINES
    begin = last = time.monotonic()
    _latest.update(what=what, unit=unit, done=done, total=total, seconds_each=None)
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        seconds_each = (now - begin) / count
        _latest.update(what=what, unit=unit, done=done + count, total=total, seconds_each=seconds_each)
        if now - last >= lines_every:
            last = now
            log.info("%s", progress_line(what, unit, done + count, total, seconds_each))


_latest: dict[str, Any] = {}


def latest_progress() -> dict[str, Any] | None:
    """What the loop that went on last has told: `what`, `unit`, `done`, `total`, `seconds_each`."""
    return dict(_latest) if _latest else None


def progress_line(what: str, unit: str, count: int, total: int | None, seconds_each: float) -> str:
    """`steps 400/1000, 40 %, 1:20 left`, in the words of the loop that it tells about."""
    if total is None:
        return f"{what}: {count} {unit}"
    minutes, seconds = divmod(round(max(total - count, 0) * seconds_each), 60)
    return f"{what}: {count}/{total} {unit}, {count / max(total, 1):.0%}, {minutes}:{seconds:02d} left"


def _writes_a_file() -> bool:
    """Whether the lines also go to a log file: then jobs may share the terminal, and bars would clash."""
    return any(isinstance(handler, logging.FileHandler) for handler in logging.getLogger().handlers)


class MetricsLog:
    """Appends one JSON object a line; on resuming it drops the lines at or after the first new step.

    Of several processes the first one writes.
    """

    def __init__(self, file: Path, *, first_step: int = 0) -> None:
        self.file = file
        if not leads():
            return
        kept = [r for r in read_metrics(file) if r["step"] < first_step] if file.exists() else []
        self._clock = time.monotonic() - (kept[-1].get("seconds", 0.0) if kept else 0.0)
        partial = file.with_name(f"{file.name}.partial")  # a kill must not lose the lines before it
        with naming(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
            partial.replace(file)

    def write(self, step: int, **values: Any) -> None:
        """One line: the step, the seconds since the run began, and the values."""
        if not leads():
            return
        row = {"step": step, "seconds": round(time.monotonic() - self._clock, 3), **values}
        with naming(self.file), self.file.open("a") as out:
            out.write(json.dumps(row) + "\n")


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl up to one that was cut short by a kill, or is damaged."""
    rows: list[dict[str, Any]] = []
    for line in file.read_text(errors="replace").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(row, dict) or "step" not in row:
            break
        rows.append(row)
    return rows
