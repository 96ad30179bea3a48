"""The front door: `oarpipe VERB --flag …`, its flags read from the signature of the verb's function.

A mistake that the user can mend is told in one line and exits with status 2; a mistake of ours
keeps its traceback and exits with status 1.
"""

import argparse
import errno
import inspect
import logging
import os
import select
import signal
import sys
import types
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from oarpipe import __version__
from oarpipe.base.attempts import end_all
from oarpipe.base.distributed import is_loss, joined, tells, world
from oarpipe.base.launch import launch
from oarpipe.base.log import set_up_logging
from oarpipe.base.shards import Shard
from oarpipe.base.stopping import within
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.errors import BadInput, OarpipeError, nearest
from oarpipe.stages import TOGETHER, VERBS
from oarpipe.tools import TOOLS

TABLE_OF = {verb: table for verbs in VERBS.values() for verb, table in verbs.items()}

# What a keyword means wherever it appears, or (verb.keyword) for one verb.
HELP = {
    "arm": "recipe file of the sample set whose best setting is sought",
    "book": "the book of recipes, such as config/config.yaml",
    "convention": "how metrics are computed: as torch-fidelity does, or as ADM's evaluator does",
    "compare.first": "results folder of a book, such as results/digits",
    "compare.out": "page to write (.html)",
    "compare.second": "results folder of the run to compare with it; differences are its less the first's",
    "doctor.compare": "results folder of a book, to be held against its expected values",
    "dataset": "results folder of the dataset (made by `index`)",
    "datasets": "results folders of the datasets (made by `index`)",
    "expect": "results folder of a book, whose values are to be expected from now on",
    "evaluation": "results folders of the evaluation, one a seed (made by `evaluate`)",
    "features": "results folder of the measuring network (made by `train_features`)",
    "gpu": "kind of GPU that the work is to run on",
    "gpus": "GPUs to share the work, of all nodes together; a process each",
    "grid": "rows and columns of the token grid, such as 16x16",
    "head": "results folder of the order head (made by `train_order_head`)",
    "heads": "attention heads; 64 channels a head if left out",
    "images": "how many images a dataset has whose book entry does not say; ImageNet's 1,281,167 if left out",
    "information": "results folders of the held-out likelihoods, one a seed (made by `information`)",
    "init": "results folder of the model whose weights to start from",
    "keep": "images that the file holds for precision and recall, evenly spread; 10,000 if left out",
    "kind": "whose file it is; told from the names of its tensors if left out",
    "first": "results folder of an extraction, or its orders.parquet",
    "json": "print it as JSON",
    "layout": "whose layout to write",
    "log": "file to write, besides standard error, what the command tells while it works",
    "measured": "folder of the features of all sample sets (made by `features`)",
    "mfu": "share of the GPU's dense rate that is reached; 0.4 if left out",
    "model": "results folder of the model (made by `train`, `distill` or `import_model`)",
    "models": "results folders of the models (made by `train`, `distill` or `import_model`)",
    "network": "name of the network whose activations are given; `inception` if left out",
    "nodes": "machines that the GPUs are spread over; more than one in a Slurm job only",
    "npz": "also write samples.npz (arr_0, uint8 NHWC), the form that ADM's evaluator reads",
    "order_heads": "results folders of the order heads (made by `train_order_head`)",
    "orders": "results folders of the extracted orders (made by `extract` and `merge_orders`)",
    "out": "folder to write the results into",
    "recipe": "recipe file: one entry of a book, as Snakemake or `oarpipe show --recipe` writes it",
    "reference": "what samples are compared with: images, a reference file, or moments",
    "reference_features": ".npy of the reference's features, [n, D]",
    "reference_spatial": ".npy of the reference's spatial features, [n, H, W, 7] or [n, H*W*7]",
    "resolution": "side in pixels to which images in files are cropped; none if left out",
    "results": "results folder of a book, such as results/digits",
    "runtime": "minutes after which a batch job is ended: work that takes longer is left off in time, saved",
    "sample_features": ".npy of the samples' features, [n, D]",
    "sample_logits": ".npy of the samples' logits without bias, [n, classes]",
    "sample_probabilities": ".npy of the samples' class probabilities, [n, classes]",
    "sample_spatial": ".npy of the samples' spatial features, [n, H, W, 7] or [n, H*W*7]",
    "samples": "results folders of the sample sets (made by `generate` and `merge_samples`)",
    "searches": "results folders of the searches, one an arm (made by `search`)",
    "second": "results folder of the extraction to compare with it, or its orders.parquet",
    "sets": "order tables, or folders of extractions or sample sets, whose orders to analyse",
    "seed": "seed to resolve the entry for; the book's first if left out",
    "shard": "which share of the work to do: K-of-N, such as 3-of-8; all of it if left out",
    "size": "size of published models whose file name does not tell it",
    "split": "images of a dataset to take: train, test or all; all if left out",
    "split_size": "samples a split of ADM's inception score; 5,000 if left out",
    "tokenizer": "results folder of the tokenizer (made by `train_tokenizer` or `import_tokenizer`)",
    "tokenizers": "results folders of the tokenizers (made by `train_tokenizer` or `import_tokenizer`)",
    "tokens": "results folder of the token store (made by `tokenize` or `import_tokens`)",
    "weights": "file of published weights (.safetensors or PyTorch's), where there is no recipe",
    "export_model.out": "file to write: .safetensors, or .pt with the weights under `model`",
    "import_model.recipe": "recipe file of an entry with `weights:`; else give --weights",
    "import_model.tokens": "results folder of the recipe's token store (made by `tokenize`)",
    "import_tokenizer.recipe": "recipe file of an entry with `weights:`; else give --weights",
    "make_reference.images": "images: a results folder (dataset, sample set), an .npz or .npy, or a folder",
    "make_reference.out": "file to write, .npz",
    "metrics.samples": "what to measure: images, or a file of features",
    "report.features": "results folders of the measuring networks (made by `train_features`)",
    "report.tokens": "results folders of the token stores (made by `tokenize`)",
    "schema.out": "root of the clone whose generated files to renew; the working directory if left out",
    "benchmark": "results folder of the benchmark (made by `benchmark`)",
    "benchmark.recipe": "recipe file of an entry of `benchmarks`; default sizes if left out",
    "benchmark.out": "folder to write into, or a file (.md or .json); the page is printed if left out",
    "answers": "answer files that participants sent, or folders of them",
    "checks": "attention checks: a picture beside its pixels in random places; 2 if left out",
    "study.compare": "options in which the sets may differ, parted by commas; model,policy if left out",
    "consent": "text that participants agree to before anything is recorded (plain, or simple Markdown)",
    "fastest": "median seconds a pair below which a participant does not count; 1 if left out",
    "instructions": "text that tells what to do (plain, or simple Markdown)",
    "lapses": "failed attention checks that are let pass; none if left out",
    "pairs": "pairs that each participant sees; 20 if left out",
    "participants": "how many you expect, for what the design can find; 30 if left out",
    "post": "address that answers are sent to at the end; they are saved as a file if left out",
    "question": "what stands above every pair",
    "repeats": "pairs that come a second time, sides swapped; 2 if left out",
    "replicates": "resamplings behind an interval; 4000 if left out",
    "spread": "standard deviation of pairs' true preferences; the paper's 0.23 if left out",
    "study": "folder that `study` wrote; without it there are no names and no classes",
    "title": "title of the page",
    "study.dataset": "results folder of the dataset whose class names are shown (made by `index`)",
    "study.first": "results folder of a sample set (made by `generate` and `merge_samples`)",
    "study.out": "folder to write study.html and study.json into; nothing is written if left out",
    "study.second": "results folder of the sample set to compare it with",
    "study.seed": "seed that the pairs are drawn with; 0 if left out",
    "tally.out": "folder to write tally.json and tally.html into",
    "tally.seed": "seed of the resampling; 0 if left out",
    "show.recipe": "print the entry as a recipe file, ready for a stage's `--recipe`",
    "plan.gpus": "how many of them; one if left out",
    "orders.dataset": "results folder of the dataset, to tell what is background",
    "orders.features": "results folder of a classifier of the same classes, for recognisability",
    "orders.information": "results folder of held-out likelihoods, for V-information (made by `information`)",
    "orders.out": "page to write (.html)",
    "orders.tokens": "results folder of the token store that the orders are of: class names, views, codes",
    "plan.words": "changes to the book (key=value)",
    "train_order_head.orders": "results folder of the extracted orders (made by `merge_orders`)",
    "words": "a table, or an entry (table.name); and overrides (key=value)",
}

# What stands for an argument in the help, where its type does not tell.
METAVARS = {
    "arm": "FILE",
    "grid": "HxW",
    "network": "NAME",
    "reference": "PATH",
    "reference_features": "FILE",
    "reference_spatial": "FILE",
    "sample_features": "FILE",
    "sample_logits": "FILE",
    "sample_probabilities": "FILE",
    "sample_spatial": "FILE",
    "sets": "ORDERS",
    "weights": "FILE",
    "answers": "PATH",
    "compare.out": "FILE",
    "study.compare": "OPTIONS",
    "consent": "FILE",
    "instructions": "FILE",
    "post": "URL",
    "question": "TEXT",
    "title": "TEXT",
    "benchmark.out": "PATH",
    "export_model.out": "FILE",
    "make_reference.out": "FILE",
    "metrics.samples": "PATH",
    "orders.out": "FILE",
}

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
    positional = _convert_recipe(verb, function, given)
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
        lines += [f"  {verb:<17}{_purpose(command(verb))}" for verb in verbs]
    return "\n".join(
        [*lines, "", "`oarpipe VERB --help` says what a verb needs. Hyphens do for underscores."]
    )


def _purpose(function: Callable[..., None]) -> str:
    """What a verb is for: the first line of its module."""
    return (sys.modules[function.__module__].__doc__ or "").partition("\n")[0]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see `{self.prog} --help`")


def parser(verb: str, function: Callable[..., None]) -> argparse.ArgumentParser:
    """The command line of one verb, from the names and types of its function's parameters."""
    made = _Parser(
        prog=f"oarpipe {verb}",
        description=f"{_purpose(function)}\n\n{inspect.getdoc(function)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    hints = get_type_hints(function)
    for parameter in inspect.signature(function).parameters.values():
        name, own = parameter.name, f"{verb}.{parameter.name}"
        metavar = METAVARS.get(own) or METAVARS.get(name)
        _add(made, parameter, hints[name], HELP.get(own) or HELP[name], metavar)
    if verb in TABLE_OF:
        made.epilog = (
            f"The recipe is an entry of the table `{TABLE_OF[verb]}`, whose options config/README.md lists.\n"
            "For a results folder, the receipt.json in it does as well."
        )
        made.add_argument("--log", type=Path, metavar="FILE", help=HELP["log"])
        made.add_argument("--runtime", type=float, metavar="MINUTES", help=HELP["runtime"])
    if verb in TOGETHER:
        made.add_argument("--gpus", type=int, default=1, metavar="N", help=HELP["gpus"])
        made.add_argument("--nodes", type=int, default=1, metavar="N", help=HELP["nodes"])
    return made


def _add(
    made: argparse.ArgumentParser, parameter: inspect.Parameter, hint: Any, text: str, metavar: str | None
) -> None:
    """One parameter as an argument: positional where it is so in Python, else a flag."""
    name, is_needed = parameter.name, parameter.default is inspect.Parameter.empty
    flags = dict.fromkeys((f"--{name.replace('_', '-')}", f"--{name}"))
    optional = get_origin(hint) in (Union, types.UnionType)
    kind = next(arg for arg in get_args(hint) if arg is not type(None)) if optional else hint
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        made.add_argument(name, nargs="*", metavar=metavar or "WORD", help=text)
    elif get_origin(kind) is Recipe:
        made.add_argument(*flags, type=Path, metavar="FILE", required=is_needed, help=text)
    elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
        made.add_argument(name, type=kind, metavar=name.upper(), help=text)
    elif kind is bool:
        made.add_argument(*flags, action="store_true", help=text)
    elif get_origin(kind) is list:
        default = [] if is_needed or parameter.default is None else list(parameter.default)
        made.add_argument(
            *flags, type=Path, nargs="+", metavar="DIR", required=is_needed, default=default, help=text
        )
    elif get_origin(kind) is Literal:
        made.add_argument(*flags, choices=get_args(kind), required=is_needed, help=text)
    elif kind is Shard:
        made.add_argument(*flags, type=_shard, metavar="K-of-N", required=is_needed, help=text)
    else:
        metavar = metavar or ("DIR" if kind is Path else "N")
        made.add_argument(
            *flags,
            type=kind,
            metavar=metavar,
            required=is_needed,
            default=None if is_needed else parameter.default,
            help=text,
        )


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _convert_recipe(verb: str, function: Callable[..., None], given: dict[str, Any]) -> list[Any]:
    """Takes the positional arguments out of `given`, the recipe file read and validated."""
    positional: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional += given.pop(parameter.name)
        elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            value = given.pop(parameter.name)
            positional.append(read_recipe(value, TABLE_OF[verb]) if verb in TABLE_OF and value else value)
    return positional
