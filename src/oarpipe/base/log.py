"""What a stage tells while it works: a progress bar for people, metrics.jsonl for programs."""

import json
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")
log = logging.getLogger("oarpipe")


def set_up_logging() -> None:
    """Plain lines with the time of day, on standard error."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")


def progress(items: Iterable[T], what: str, *, total: int | None = None, done: int = 0, unit: str = "it") -> Iterator[T]:
    """Iterates with a progress bar; in a log file the bar becomes a line every half minute."""
    interactive = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=what,
        total=total,
        initial=done,
        unit=unit,
        mininterval=0.5 if interactive else 30.0,
        ascii=not interactive,
        dynamic_ncols=interactive,
        file=sys.stderr,
    )


class MetricsLog:
    """Appends one JSON object a line; on resuming it drops the lines at or after the first new step."""

    def __init__(self, file: Path, *, first_step: int = 0) -> None:
        self.file = file
        kept = [r for r in read_metrics(file) if r["step"] < first_step] if file.exists() else []
        self._clock = time.monotonic() - (kept[-1]["seconds"] if kept else 0.0)
        file.write_text("".join(json.dumps(row) + "\n" for row in kept))

    def write(self, step: int, **values: Any) -> None:
        """One line: the step, the seconds since the run began, and the values."""
        row = {"step": step, "seconds": round(time.monotonic() - self._clock, 3), **values}
        with self.file.open("a") as out:
            out.write(json.dumps(row) + "\n")


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line cut short by a kill is dropped."""
    rows = []
    for line in file.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
