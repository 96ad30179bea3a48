"""A command's arguments, from its function's signature: a parameter is a flag of the same name and type."""

import argparse
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from oarpipe.base.shards import Shard
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.errors import BadInput
from oarpipe.stages import TOGETHER, VERBS

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


def purpose(function: Callable[..., None]) -> str:
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
        description=f"{purpose(function)}\n\n{inspect.getdoc(function)}",
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


def take_positional(verb: str, function: Callable[..., None], given: dict[str, Any]) -> list[Any]:
    """Takes the positional arguments out of `given`, the recipe file read and validated."""
    positional: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            positional += given.pop(parameter.name)
        elif parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            value = given.pop(parameter.name)
            positional.append(read_recipe(value, TABLE_OF[verb]) if verb in TABLE_OF and value else value)
    return positional
