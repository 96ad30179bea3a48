"""Says of a book's results what is done, running, stopped, failed or waiting."""

import json as plain
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oarpipe.base.attempts import ENDED, MARK
from oarpipe.base.files import read_json
from oarpipe.base.heartbeat import Seen, look_at
from oarpipe.base.receipts import DONE, RECEIPT, RUN
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.errors import BadInput, ConfigError, OarpipeError
from oarpipe.stages import VERBS

LAST_LINES = 3  # of the log of what failed


@dataclass(frozen=True)
class Row:
    """One results folder: its state, who is at it, how far it is, and the seconds that are left, if known."""

    folder: str
    state: str
    who: str = ""
    progress: str = ""
    left: float | None = None
    told: str = ""


def status(results: Path, *, json: bool = False) -> None:
    """Prints a line for each folder that the book's recipes ask for.

    oarpipe status results/digits           what is done, running (where, how far), stopped, failed, waiting
    oarpipe status results/digits --json

    Stopped work goes on where it was when Snakemake runs again. The time left is that of the loop that
    runs, as it told at its last sign of life; what waits for it comes on top.
    """
    if not (results / "recipes").is_dir():
        raise BadInput(f"{results}: no recipes in it; name the results of a book, such as results/digits")
    rows = [_row(results, recipe, folder) for recipe, folder in _asked_for(results)]
    if json:
        print(plain.dumps([asdict(row) for row in rows], indent=1))
    else:
        print("\n".join(_table(rows)))


def _asked_for(results: Path) -> Iterator[tuple[Recipe[Any], Path]]:
    """The newest recipe of every entry and seed, and the folders that it is carried out in."""
    for table in dict.fromkeys(table for verbs in VERBS.values() for table in verbs.values()):
        newest: dict[tuple[str, int], Recipe[Any]] = {}
        files = (results / "recipes" / table).glob("*.yaml")
        for file in sorted(files, key=lambda file: file.stat().st_mtime):
            try:
                recipe = read_recipe(file, table)
            except ConfigError:  # of another version
                continue
            newest[recipe.name, recipe.seed] = recipe
        for (name, seed), recipe in sorted(newest.items()):
            seeded = results if table == "reports" else results / f"seed-{seed}"
            folder = seeded / table / name
            if table == "searches":
                yield from ((recipe, folder / arm) for arm in recipe.entry.samples)
            elif table == "evaluations":
                yield from ((recipe, folder / "features"), (recipe, folder))
            else:
                yield recipe, folder


def _row(results: Path, recipe: Recipe[Any], folder: Path) -> Row:
    name = folder.relative_to(results).as_posix()
    seen = [mark for file in sorted(folder.glob(MARK.format("*"))) if (mark := look_at(file)) is not None]
    alive = [mark for mark in seen if not mark.is_dead()]
    if alive:
        return _running(name, folder, alive)
    if (folder / RECEIPT).is_file():
        if _read(folder / DONE).get("recipe") == recipe.entry.model_dump(mode="json"):
            return Row(name, "done", told=_time_taken(folder))
        return Row(name, "waiting", told="holds what was made before the recipe was changed")
    ends = [_read(file) for file in _last_words(folder)]
    failed = next((end for end in ends if end.get("how") in ("failed", "stuck")), None)
    if failed is not None:
        return Row(name, "failed", told="\n".join([failed["why"], *_last_lines(results, recipe, folder)]))
    shards = len(list(folder.glob("shards/*.json")))
    progress = f"{shards} shards done" if shards else ""
    if seen:
        told = f"no sign for {max(mark.age for mark in seen):.0f} s; goes on when it is run again"
        return Row(name, "stopped", _who(seen), _progress(seen) or progress, told=told)
    if ends:
        return Row(
            name, "stopped", progress=progress, told=f"{ends[-1]['why']}; goes on when it is run again"
        )
    if shards:
        return Row(name, "waiting", progress=progress)
    lines = _last_lines(results, recipe, folder)
    return Row(name, "failed", told="\n".join(lines)) if lines else Row(name, "waiting")


def _last_words(folder: Path) -> list[Path]:
    """How attempts ended, of those that could tell: who left a mark behind was killed later."""
    endings = sorted(folder.glob(f"state/*/{ENDED.format('*')}"))
    ending, mark = ENDED.partition("{")[0], MARK.partition("{")[0]
    return [file for file in endings if not (folder / file.name.replace(ending, mark, 1)).exists()]


def _running(name: str, folder: Path, alive: list[Seen]) -> Row:
    """Work that one process or several shards are at."""
    done = len(list(folder.glob("shards/*.json")))
    scattered = f" in {len(alive)} shards, {done} shards done" if _is_scattered(folder) else ""
    progress = _progress(alive) + scattered
    lefts = [left for mark in alive if (left := _left(mark)) is not None]
    since = min(str(mark.facts.get("since", "")) for mark in alive)
    return Row(name, "running", _who(alive), progress, max(lefts, default=None), f"since {since}")


def _is_scattered(folder: Path) -> bool:
    return not (folder / MARK.format("")).exists()


def _who(marks: list[Seen]) -> str:
    """`gpu01 (job 17)`, and how many more."""
    facts = marks[0].facts
    job = f"job {facts['job']}" if facts.get("job") else f"process {facts.get('pid')}"
    more = f" and {len(marks) - 1} more" if len(marks) > 1 else ""
    return f"{facts.get('host')} ({job}){more}"


def _progress(marks: list[Seen]) -> str:
    """`400/1000 step`, summed over the shards that tell it."""
    told = [mark.facts["progress"] for mark in marks if mark.facts.get("progress")]
    known = [one for one in told if one["total"]]
    if not known:
        return ""
    done, total = (sum(one[key] for one in known) for key in ("done", "total"))
    return f"{done}/{total} {known[0]['unit']}"


def _left(mark: Seen) -> float | None:
    """Seconds, less those since it was told."""
    told = mark.facts.get("progress")
    if not told or not told["total"] or told["seconds_each"] is None:
        return None
    return max(float((told["total"] - told["done"]) * told["seconds_each"]) - max(mark.age, 0.0), 0.0)


def _time_taken(folder: Path) -> str:
    run = _read(folder / RUN)
    return f"in {_clock(run['seconds'])}, {run['finished']}" if run else ""


def _last_lines(results: Path, recipe: Recipe[Any], folder: Path) -> list[str]:
    """What the newest log of the folder's stages ends with."""
    arm = f".{folder.name}" if recipe.table == "searches" else ""
    seed = "" if recipe.table == "reports" else f".seed-{recipe.seed}"
    verbs = [verb for tables in VERBS.values() for verb, table in tables.items() if table == recipe.table]
    if recipe.table == "evaluations":
        verbs = ["features" if folder.name == "features" else "evaluate"]
    names = (f"{recipe.name}{arm}{seed}.log", f"{recipe.name}{arm}{seed}.*.log")
    logs = [f for verb in verbs for name in names for f in (results / "logs" / verb).glob(name)]
    if not logs:
        return []
    newest = max(logs, key=lambda file: file.stat().st_mtime)
    lines = [line for line in newest.read_text(errors="replace").splitlines() if line.strip()]
    return [*lines[-LAST_LINES:], f"({newest})"] if lines else []


def _read(file: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = read_json(file)
        return facts
    except OarpipeError:
        return {}


def _table(rows: list[Row]) -> Iterator[str]:
    """One line a folder, and below those that failed what they told; the sums at the end."""
    width = max((len(row.folder) for row in rows), default=0)
    for row in rows:
        first, *further = row.told.splitlines() or [""]
        left = f"{_clock(row.left)} left" if row.left is not None else ""
        words = [word for word in (row.who, row.progress, left, first) if word]
        yield f"{row.folder:<{width}}  {row.state:<8}{', '.join(words)}".rstrip()
        yield from (f"{'':<{width}}    {line}" for line in further)
    states = ("done", "running", "stopped", "failed", "waiting")
    counts = {state: sum(row.state == state for row in rows) for state in states}
    yield ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "nothing is asked for"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
