"""Runs of a book that no stage made: receipts, and the numbers that a comparison reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oarpipe.base.files import hash_of, write_json
from oarpipe.base.receipts import Receipt
from oarpipe.config.recipe import FORMATS

MODEL = {"init": "any", "train": {"lr": 5e-4, "betas": [0.9, 0.95]}}
WEIGHTS, REFERENCE = "a" * 64, "1" * 64


def finish(
    run: Path,
    folder: str,
    recipe: Mapping[str, Any],
    files: Mapping[str, Any],
    *,
    inputs: Mapping[str, str] | None = None,
    seconds: float = 10.0,
) -> None:
    """One folder of a run, such as `seed-0/models/any`, with JSON files and their receipt."""
    *_, table, name = folder.split("/")[:3] if folder.startswith("seed") else folder.split("/")
    out, inputs = run / folder, dict(inputs or {})
    listed = {}
    for file, content in files.items():
        write_json(out / file, content)
        listed[file] = {"size": (out / file).stat().st_size, "sha256": _sha256(out / file)}
    digest = hash_of({file: one["sha256"] for file, one in listed.items()})
    seed = int(folder.split("/")[0].removeprefix("seed-"))
    asked = hash_of([recipe, inputs])
    made = Receipt(table, name, seed, FORMATS[table], dict(recipe), inputs, asked, digest, listed, out)
    made.write(out / "receipt.json")
    write_json(out / "run.json", {"seconds": seconds, "machine": "Linux", "python": "3.11.7"})


def _sha256(file: Path) -> str:
    from hashlib import sha256

    return sha256(file.read_bytes()).hexdigest()


def measured(
    metrics: Mapping[str, float],
    *,
    content: str = "0",
    replicates: Sequence[float] = (),
    count: int = 100,
    weights: str = WEIGHTS,
    reference: str = REFERENCE,
    convention: str = "adm",
) -> dict[str, Any]:
    """A sample set's entry in metrics.json."""
    network = {"name": "digits", "kind": "classifier", "sha256": weights}
    values = {
        metric: {
            "metric": metric,
            "value": value,
            "convention": convention,
            "network": network,
            "reference": {"name": "digits train", "digest": reference, "count": 1437},
            "count": count,
            "how": "",
        }
        for metric, value in metrics.items()
    }
    return {
        "digest": content * 64,
        "count": count,
        "metrics": {**metrics, "mean_step_distance": 2.5},
        "values": {convention: values},
        "replicates": {next(iter(metrics)): list(replicates)},
    }


def evaluation(run: Path, sets: Mapping[str, Mapping[str, Any]], *, seed: int = 0) -> None:
    """A finished evaluation of these sets, by the convention of the first."""
    conventions = list(next(iter(sets.values()))["values"])
    facts = {"features": {"digest": "n"}, "conventions": conventions, "sets": dict(sets)}
    finish(run, f"seed-{seed}/evaluations/e", {"dataset": "digits"}, {"metrics.json": facts})


def likelihoods(run: Path, nll: Mapping[str, Sequence[float]], *, tokens: str = "t", seed: int = 0) -> None:
    """Held-out likelihoods of one model, by order and image."""
    orders = {order: {"nll": sum(each) / len(each), "per_sample": list(each)} for order, each in nll.items()}
    facts = {"split": "test", "models": {"any": orders}}
    recipe, inputs = {"split": "test", "holes": {}}, {"tokens": tokens * 64}
    finish(run, f"seed-{seed}/information/i", recipe, {"information.json": facts}, inputs=inputs)


def told(printed: str) -> dict[str, Any]:
    """What `--json` prints."""
    found: dict[str, Any] = json.loads(printed)
    return found
