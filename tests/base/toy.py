"""A stage in small, to be stopped and killed: each of its parts is a file that tells who wrote it.

python -m tests.base.toy OUT [--parts N] [--seconds S] [--runtime MINUTES] [--shard K-of-N] [--beat S]
"""

import argparse
import os
import sys
import time
from pathlib import Path

from oarpipe.base import heartbeat
from oarpipe.base.attempts import end_all
from oarpipe.base.files import write_text
from oarpipe.base.log import progress, set_up_logging
from oarpipe.base.receipts import Stage
from oarpipe.base.shards import Shard
from oarpipe.base.stopping import until_stopped, within
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import OarpipeError


def recipe(resolution: int = 24) -> Recipe[DigitsConfig]:
    """Any recipe will do."""
    return Recipe("datasets", "toy", 0, DigitsConfig(kind="digits", resolution=resolution))


def carry_out(
    out: Path, parts: int, seconds: float, shard: Shard | None, broken: bool, gate: Path | None
) -> None:
    """Writes what is missing of `parts` files; each takes so many seconds, and waits for `gate`."""
    stage = Stage(recipe(), out)
    if stage.is_done(shard):
        return
    if broken:
        raise RuntimeError("broken")
    mine = shard.of(range(parts)) if shard else range(parts)
    todo = [i for i in mine if not (stage.state / f"part-{i:02d}").is_file()]
    for i in until_stopped(progress(todo, "toy", unit="part", total=len(mine), done=len(mine) - len(todo))):
        time.sleep(seconds)
        while gate is not None and not gate.exists():
            time.sleep(0.01)
        write_text(stage.state / f"part-{i:02d}", f"{os.getpid()}")
    if shard:
        stage.finish_shard(shard)
        return
    write_text(out / "data.txt", "".join(f"part {i}\n" for i in range(parts)))
    write_text(
        out / "writers.txt", "\n".join((stage.state / f"part-{i:02d}").read_text() for i in range(parts))
    )
    stage.finish("data.txt")


def main() -> int:
    """As the command line does it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--runtime", type=float)
    parser.add_argument("--shard", type=Shard.parse)
    parser.add_argument("--beat", type=float, default=0.05)
    parser.add_argument("--gate", type=Path)
    parser.add_argument("--elsewhere", action="store_true", help="as if on a machine that sees no processes")
    parser.add_argument("--broken", action="store_true")
    given = parser.parse_args()
    heartbeat.BEAT, heartbeat.LOOK, heartbeat.SETTLE = given.beat, given.beat, given.beat
    if given.elsewhere:
        setattr(heartbeat, "_place", lambda: None)  # noqa: B010
    set_up_logging(f"toy {os.getpid()}")
    try:
        with within(given.runtime):
            carry_out(given.out, given.parts, given.seconds, given.shard, given.broken, given.gate)
    except BaseException as error:
        try:
            end_all(error)
        except OarpipeError as last:
            error = last
        if isinstance(error, OarpipeError):
            print(error, file=sys.stderr)
            return 2
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
