"""How training went: the models' curves, and what the tokenizer keeps of an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from markupsafe import Markup

from oarpipe.base.files import read_json
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import Receipt
from oarpipe.data.images import open_images
from oarpipe.data.token_store import TokenStore
from oarpipe.reports.arms import NOTHING, Tuning, read_tuning
from oarpipe.reports.figures import Line, curves
from oarpipe.reports.gallery import Sheet, sheet, tile_side
from oarpipe.reports.results import Results
from oarpipe.tokenizers import load_tokenizer

POINTS = 80
PAIRS = 10
LABELS = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "usage": "codes in use",
    "perplexity": "perplexity",
    "count": "images",
}


@dataclass(frozen=True)
class Reconstruction:
    """A tokenizer's report: its numbers, and originals above what their tokens decode to."""

    name: str
    numbers: Mapping[str, str]
    sheet: Sheet | None


def training_curves(results: Results, colours: Mapping[str, str]) -> list[tuple[str, Markup]]:
    """Titled charts of the first seed: loss of base models, loss of tuned ones, held-out NLL of all."""
    models, orders = results.recipes("models"), results.recipes("orders")
    logs: dict[str, tuple[Tuning, list[dict[str, Any]]]] = {}
    for receipt in results.receipts["models"]:
        file = receipt.folder / "metrics.jsonl"
        if receipt.seed == results.seed and file.is_file():
            logs[receipt.name] = (read_tuning(receipt.name, models, orders), read_metrics(file))
    base = {name: log for name, log in logs.items() if models[name].get("init") is None}
    tuned = {name: log for name, log in logs.items() if name not in base}
    charts = [
        ("Training loss, any-order base", "loss", base),
        ("Training loss, tuning", "loss", tuned),
        ("Held-out NLL, any-order base", "validation_nll", base),
        ("Held-out NLL, tuning", "validation_nll", tuned),
    ]
    drawn = []
    for title, key, chosen in charts:
        lines = [_line(name, tuning, rows, key, colours) for name, (tuning, rows) in chosen.items()]
        lines = [line for line in lines if line.x]
        if lines:
            names = ", ".join(line.label for line in lines)
            drawn.append((title, curves(lines, x="step", y="nats a token", alt=f"{title}: {names}.")))
    return drawn


def _line(
    name: str, tuning: Tuning, rows: Sequence[Mapping[str, Any]], key: str, colours: Mapping[str, str]
) -> Line:
    """One model's curve; a noisy one is averaged over windows of steps."""
    points = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    width = max(1, len(points) // POINTS)
    whole = len(points) // width * width
    averaged = np.array(points[:whole], dtype=np.float64).reshape(-1, width, 2).mean(axis=1)
    dash = "-" if tuning.annealed is not False else "--"
    dash = ":" if tuning.floor else dash
    marker = "o" if key == "validation_nll" else ""
    return Line(
        name,
        averaged[:, 0].tolist(),
        averaged[:, 1].tolist(),
        colours.get(tuning.on, colours[NOTHING]),
        dash,
        marker,
    )


def reconstructions(results: Results) -> list[Reconstruction]:
    """Every tokenizer of the first seed, with pictures where a token store was made with it.

    An imported one was never judged, so it has pictures only.
    """
    found = []
    for receipt in results.receipts["tokenizers"]:
        if receipt.seed != results.seed:
            continue
        pairs = next((_decode_pairs(results, made, receipt) for made in _tokens_of(results, receipt)), None)
        drawn = None
        if pairs is not None:
            side = tile_side(pairs[0].shape[1], 50 * PAIRS)
            words = f"Above, {len(pairs[0])} test images; below, what {receipt.name} makes of their tokens."
            drawn = sheet(np.concatenate(pairs), len(pairs[0]), side, words)
        found.append(Reconstruction(receipt.name, _numbers(receipt), drawn))
    return [one for one in found if one.numbers or one.sheet]


def _numbers(tokenizer: Receipt) -> dict[str, str]:
    """What its training reported of the reconstructions, under their headings."""
    file = tokenizer.folder / "reconstruction.json"
    report = read_json(file) if file.is_file() else {}
    return {LABELS.get(k, k): _short(v) for k, v in report.items() if isinstance(v, int | float)}


def _tokens_of(results: Results, tokenizer: Receipt) -> list[Receipt]:
    return [
        receipt
        for receipt in results.receipts["tokens"]
        if receipt.seed == results.seed and receipt.recipe["tokenizer"] == tokenizer.name
    ]


def _short(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _decode_pairs(
    results: Results, made: Receipt, tokenizer: Receipt
) -> tuple[np.ndarray, np.ndarray] | None:
    """Test images and what their tokens decode to, uint8 NHWC; None where there are no test images."""
    if "dataset" not in made.recipe:
        return None  # codes that another project wrote down, of images that are not here
    dataset = results.receipt("datasets", made.recipe["dataset"], results.seed)
    store = TokenStore.open(made.folder / "tokens.zarr")
    chosen = store.read(store.rows_of("test"))
    if dataset is None or not len(chosen):
        return None
    rows = np.linspace(0, len(chosen) - 1, min(PAIRS, len(chosen))).astype(int)
    images = open_images(dataset).first_view(chosen.sample_ids[rows], made.recipe["views"])
    codes = torch.from_numpy(chosen.tokens[rows, 0].astype(np.int64))
    decoded = load_tokenizer(tokenizer.folder).decode(codes, chosen.grid)
    return images, decoded.permute(0, 2, 3, 1).cpu().numpy()
