"""What a run came to, as a file of expected values, and where another run departs from it."""

import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from oarpipe.base.files import hash_of, read_json, write_text
from oarpipe.base.receipts import RUN, Receipt, read_receipt
from oarpipe.errors import BadInput, IncompleteData

FOLDER = Path("config/expected")  # in a clone
LOSSES = 5  # of a training run, evenly spread

# How far two runs of one recipe may lie apart, as a share of the value: by the first word of its name.
# What was measured of it: docs/orders.md, "A run beside another".
WITHIN = {
    "loss": 0.03,
    "validation_nll": 0.02,
    "nll": 0.02,
    "psnr": 0.03,
    "usage": 0.1,
    "test_accuracy": 0.03,
    "mean_step_distance": 0.1,
    "fd": 0.5,
    "fid": 0.05,
}


@dataclass(frozen=True)
class Expected:
    """What a figure is to be, give or take `within`; `source` is who published it, None if we measured."""

    value: float
    within: float
    source: str | None = None

    def plain(self) -> dict[str, Any]:
        """As the file holds it."""
        numbers = {"value": float(f"{self.value:.4g}"), "within": float(f"{self.within:.2g}")}
        return numbers if self.source is None else {**numbers, "source": self.source}


@dataclass(frozen=True)
class Departure:
    """One figure beside what is expected of it; `found` is None where the run has none."""

    folder: str
    figure: str
    found: float | None
    expected: Expected

    @property
    def verdict(self) -> str:
        """`inside`, `outside` or `missing`."""
        if self.found is None:
            return "missing"
        return "inside" if abs(self.found - self.expected.value) <= self.expected.within else "outside"

    def line(self) -> str:
        """The verdict, the figure, and who published the expected one if nobody measured it here."""
        came = "not in this run" if self.found is None else f"{self.found:.4g}"
        source = f" (published: {self.expected.source})" if self.expected.source else ""
        wanted = f"expected {self.expected.value:.4g} ± {self.expected.within:.2g}{source}"
        return f"{self.verdict:<9}{self.folder} {self.figure}: {came}, {wanted}"


def expect(results: Path) -> Path:
    """Writes the expected values of a run's book into the clone; published figures that stand there stay."""
    file = _file_of(results)
    figures: dict[str, dict[str, Any]] = {}
    machine: dict[str, Any] = {}
    for receipt in _receipts(results):
        folder, found = _name(receipt, results), dict(_measured(receipt))
        if found:
            machine = machine or _machine(receipt)
            figures[folder] = {"recipe": _recipe(receipt)} | {
                name: Expected(value, abs(value) * _share(name)).plain() for name, value in found.items()
            }
    for folder, entry in (_read(file) if file.is_file() else {}).items():
        kept = {name: one.plain() for name, one in entry.figures.items() if one.source is not None}
        if kept:
            figures.setdefault(folder, {}).update(kept)
    book = results.resolve().name
    content = {"book": book, "measured": machine, "figures": figures}
    write_text(
        file,
        _HEAD.format(book=book)
        + yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None),
    )
    return file


def departures(results: Path) -> tuple[list[str], list[Departure]] | None:
    """Folders of another recipe than the measured one, and every figure; None for a book without a file."""
    file = _file_of(results)
    if not file.is_file():
        return None
    receipts = {_name(receipt, results): receipt for receipt in _receipts(results)}
    changed, told = [], []
    for folder, entry in _read(file).items():
        receipt = receipts.get(folder)
        found = dict(_measured(receipt)) if receipt else {}
        if receipt and entry.recipe and _recipe(receipt) != entry.recipe:
            changed.append(folder)
        told += [Departure(folder, name, found.get(name), one) for name, one in entry.figures.items()]
    return changed, told


_HEAD = """\
# What the book `{book}` came to where it was run. `oarpipe doctor --compare results/{book}` says where
# another run departs; `oarpipe doctor --expect results/{book}` writes this file. `within` is by rule, see
# docs/orders.md. A figure with a `source` is published, and was not measured here.
"""


def _file_of(results: Path) -> Path:
    if not any(results.glob("seed-*")):
        raise BadInput(f"{results}: no seed-* in it; name the results of a book, such as results/digits")
    return FOLDER / f"{results.resolve().name}.yaml"


@dataclass(frozen=True)
class _Entry:
    """One results folder in the file."""

    recipe: str | None
    figures: dict[str, Expected]


def _read(file: Path) -> dict[str, _Entry]:
    try:
        folders = yaml.safe_load(file.read_text())["figures"].items()
        return {
            folder: _Entry(
                entries.pop("recipe", None),
                {
                    name: Expected(float(one["value"]), float(one["within"]), one.get("source"))
                    for name, one in entries.items()
                },
            )
            for folder, entries in folders
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        detail = " ".join(str(error).split())
        raise IncompleteData(
            f"{file}: not a file of expected values ({detail}); mend or delete it"
        ) from error


def _name(receipt: Receipt, results: Path) -> str:
    return receipt.folder.relative_to(results).as_posix()


def _recipe(receipt: Receipt) -> str:
    return hash_of(receipt.recipe)[:16]


def _receipts(results: Path) -> Iterator[Receipt]:
    for file in sorted(results.glob("seed-*/*/*/receipt.json")):
        yield read_receipt(file)


def _measured(receipt: Receipt) -> Iterator[tuple[str, float]]:
    """The figures of one results folder that are worth comparing."""
    folder = receipt.folder
    match receipt.table:
        case "features":
            text = folder / "classifier.yaml"
            if text.is_file():
                yield "test_accuracy", float(yaml.safe_load(text.read_text())["test_accuracy"])
        case "tokenizers":
            if (folder / "reconstruction.json").is_file():
                content = read_json(folder / "reconstruction.json")
                yield from ((name, float(content[name])) for name in ("psnr", "usage"))
        case "models":
            yield from _training(folder / "metrics.jsonl")
        case "orders":
            from oarpipe.data.order_table import OrderTable

            table = OrderTable.read(folder / "orders.parquet")
            yield "mean_step_distance", float(table.mean_step_distance.mean())
        case "information":
            for model, orders in read_json(folder / "information.json")["models"].items():
                yield from ((f"nll of {model}, {order}", float(one["nll"])) for order, one in orders.items())
        case "evaluations":
            for name, one in read_json(folder / "metrics.json")["sets"].items():
                metrics = {
                    key: value for key, value in one["metrics"].items() if key.startswith(("fd[", "fid"))
                }
                yield from ((f"{metric} of {name}", float(value)) for metric, value in metrics.items())


def _training(file: Path) -> Iterator[tuple[str, float]]:
    """Some losses, the first and the last among them, and every likelihood of held-out images."""
    if not file.is_file():
        return
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    losses = [line for line in lines if "loss" in line]
    chosen = {round(i * (len(losses) - 1) / (LOSSES - 1)) for i in range(LOSSES)} if losses else set()
    for i in sorted(chosen):
        yield f"loss at step {losses[i]['step']}", float(losses[i]["loss"])
    for line in lines:
        if "validation_nll" in line:
            yield f"validation_nll at step {line['step']}", float(line["validation_nll"])


def _share(figure: str) -> float:
    return WITHIN[figure.split()[0].partition("[")[0]]


def _machine(receipt: Receipt) -> dict[str, Any]:
    """Where it was measured: no host, no clock."""
    from importlib.metadata import version

    run = read_json(receipt.folder / RUN) if (receipt.folder / RUN).is_file() else {}
    return {"machine": run.get("machine", platform.machine()), "torch": version("torch").partition("+")[0]}
