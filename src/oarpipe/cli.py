"""The front door: `oarpipe VERB --flag …`.

A mistake that the user can mend is told in one line and exits with status 2; a mistake of ours
keeps its traceback and exits with status 1.
"""

import errno
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from oarpipe import __version__
from oarpipe.arguments import TABLE_OF, parser, purpose, take_positional
from oarpipe.base.attempts import end_all
from oarpipe.base.distributed import is_loss, joined, tells, world
from oarpipe.base.launch import launch
from oarpipe.base.log import set_up_logging
from oarpipe.base.stopping import within
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput, OarpipeError, nearest
from oarpipe.stages import TOGETHER, VERBS
from oarpipe.tools import TOOLS

# The machine's refusals: not a bug, and nothing that was finished is lost.
MENDABLE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EFBIG: "the file would be larger than the system allows; raise the limit (ulimit -f)",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EACCES: "permission denied; make it accessible",
    errno.EPERM: "permission denied; make it accessible",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EIO: "the disk could not be read or written; check it",
}

# What the shell says of a program that a closed pipe has ended.
CUT = 128 + signal.SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Waiting threads that spin steal the cores of the jobs beside them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        try:
            return _answer(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        return CUT if _is_cut() else _confess()


def _is_cut() -> bool:
    """Whether nobody reads what is printed, as after `| head`; then the rest goes nowhere."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), select.POLLOUT)
    is_cut = any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
    if is_cut:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return is_cut


def _answer(words: list[str]) -> int:
    """Runs one command and tells what stopped it; returns its exit status."""
    try:
        return _run(words)
    except BrokenPipeError:
        raise
    except OarpipeError as error:
        return _refuse(str(error))
    except OSError as error:
        if error.errno not in MENDABLE:
            return _confess()
        return _refuse(
            f"{error.filename or words[0]}: {MENDABLE[error.errno]}, then run the same command again"
        )
    except KeyboardInterrupt:
        return _refuse("interrupted; the same command continues where it stopped", 130)
    except Exception as error:
        if is_loss(error):
            return _refuse("another of its processes has ended, and told why or was killed", 1)
        return _confess()


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"oarpipe {__version__}")
        return 0
    verb = words[0].replace("-", "_")
    function = command(verb)
    given = vars(parser(verb, function).parse_intermixed_args(words[1:]))
    log_file, minutes = given.pop("log", None), given.pop("runtime", None)
    gpus, nodes = given.pop("gpus", 1) if verb in TABLE_OF else 1, given.pop("nodes", 1)
    positional = take_positional(verb, function, given)
    if world().size > 1 and verb not in TOGETHER:
        raise BadInput(f"`oarpipe {verb}` is work for one process; these are {world().size}, by WORLD_SIZE")
    if world().size == 1 and (gpus, nodes) != (1, 1):
        return launch(words, gpus=gpus, nodes=nodes)
    recipe = next((value for value in positional if isinstance(value, Recipe)), None)
    if recipe is not None:
        shard = f" shard {given['shard']}" if given.get("shard") else ""
        set_up_logging(f"{verb} {recipe.name}, seed {recipe.seed}{shard}", log_file)
    else:
        set_up_logging(verb if verb in TABLE_OF else "", log_file)
    try:
        with within(minutes), joined():
            function(*positional, **given)
    except BaseException as error:
        if isinstance(error, OSError):
            error.filename = error.filename or given.get("out")
        end_all(error)
        raise
    return 0


def _refuse(message: str, status: int = 2) -> int:
    """The user's mistake: a line on standard error, and in the log file if there is one."""
    if not tells():
        return status
    print(f"oarpipe: {message}", file=sys.stderr)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.emit(logging.makeLogRecord({"msg": message, "levelno": logging.ERROR}))
    return status


def _confess() -> int:
    """Our mistake: the traceback, wherever the command tells what it does."""
    if tells():
        logging.getLogger("oarpipe").exception("this is a bug in oarpipe; please report what follows")
    return 1


def command(verb: str) -> Callable[..., None]:
    """The function behind a verb; an unknown one is a `BadInput` with the nearest known."""
    if verb in TABLE_OF:
        return getattr(import_module(f"oarpipe.stages.{verb}"), verb)  # type: ignore[no-any-return]
    if verb in TOOLS:
        return getattr(import_module(f"oarpipe.tools.{verb}"), verb)  # type: ignore[no-any-return]
    raise BadInput(f"no command '{verb}': {nearest(verb, [*TABLE_OF, *TOOLS])}")


def overview() -> str:
    """All verbs by stage, one line each."""
    groups = {**{stage: list(verbs) for stage, verbs in VERBS.items()}, "tools": list(TOOLS)}
    lines = [
        "usage: oarpipe VERB --recipe FILE --INPUT DIR … --out DIR",
        "",
        "Images become tokens, a model learns them in any order, each image's own order is extracted,",
        "the model is tuned on it, and what that was worth is measured. Snakemake runs the line; each",
        "verb below is one of its rules, and can be run by hand.",
    ]
    for group, verbs in groups.items():
        lines += ["", f"{group}:"]
        lines += [f"  {verb:<17}{purpose(command(verb))}" for verb in verbs]
    return "\n".join(
        [*lines, "", "`oarpipe VERB --help` says what a verb needs. Hyphens do for underscores."]
    )
