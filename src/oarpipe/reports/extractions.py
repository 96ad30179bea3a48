"""What the extracted orders look like: mean order and first position by class, their d, their scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt16
from markupsafe import Markup

from oarpipe.base.grid import Grid
from oarpipe.config.orders import leaks
from oarpipe.data.order_table import OrderTable
from oarpipe.data.token_store import TokenStore
from oarpipe.metrics.paths import mean_step_distance, random_step_distance
from oarpipe.orders.rules import rule_order
from oarpipe.reports.arms import COLOURS, OTHER_COLOURS, extraction_name
from oarpipe.reports.figures import band, histogram
from oarpipe.reports.gallery import Sheet, shade, sheet, step_colours
from oarpipe.reports.leaks import leak_note
from oarpipe.reports.results import Results

CLASSES_SHOWN = 20
ROWS_SHOWN = 200_000  # of an extraction, evenly spread: 310 MB of 256 positions each
_SIDE = 48


@dataclass(frozen=True)
class Extraction:
    """One extraction's orders of the first view of each image, with what they are called."""

    name: str
    policy: str
    leaks: bool
    grid: Grid
    classes: Sequence[str]
    sample_id: Int64[np.ndarray, " R"]
    label: Int32[np.ndarray, " R"]
    order: UInt16[np.ndarray, "R N"]
    score: Float32[np.ndarray, "R N"]
    mean_step_distance: Float32[np.ndarray, " R"]


def extractions(results: Results) -> list[Extraction]:
    """The extractions of the first seed: of several by one model and policy, the one of most images."""
    found: dict[str, Extraction] = {}
    for receipt in results.receipts["orders"]:
        tokens = results.receipt("tokens", receipt.recipe["tokens"], results.seed)
        if receipt.seed != results.seed or tokens is None:
            continue
        table = OrderTable.read(receipt.folder / "orders.parquet", most=ROWS_SHOWN)
        store = TokenStore.open(tokens.folder / "tokens.zarr")
        first = table.view == 0
        name = extraction_name(receipt.recipe, results.recipes("orders"))
        key = f"{receipt.recipe['model']} {name}"
        if key not in found or first.sum() > len(found[key].order):
            found[key] = Extraction(
                receipt.name,
                name,
                leaks(receipt.recipe["policy"]),
                store.grid,
                store.classes,
                table.sample_id[first],
                table.label[first],
                table.order[first],
                table.score[first],
                table.mean_step_distance[first],
            )
    return list(found.values())


@dataclass(frozen=True)
class ClassMaps:
    """For each class (a column): the mean order map, and the share of walks that begin at each position."""

    name: str
    classes: Sequence[str]
    orders: Sheet
    firsts: Sheet
    count: int
    begins_alike: bool


@dataclass(frozen=True)
class OrderFigures:
    """The page's section on orders."""

    maps: Sequence[ClassMaps]
    distances: Markup
    scores: Markup
    note: str


def order_figures(found: Sequence[Extraction]) -> OrderFigures | None:
    """None where nothing was extracted."""
    if not found:
        return None
    colours = dict(zip([e.name for e in found], _colours(found), strict=True))
    grid = found[0].grid
    raster = float(mean_step_distance(rule_order("raster", grid, 0)[None], grid)[0])
    return OrderFigures(
        [class_maps(one) for one in found],
        histogram(
            {e.name: (e.mean_step_distance, colours[e.name]) for e in found},
            {"raster": raster, "random, on average": random_step_distance(grid)},
            x="mean step distance d, in cells",
            alt="Histogram of the mean step distance of the extracted orders, one value an image.",
        ),
        band(
            {e.name: (e.score, colours[e.name]) for e in found},
            x="step",
            y="score of the chosen position",
            alt="Score of the chosen position along the order: mean and middle 80 % of images.",
        ),
        leak_note([one.name for one in found if one.leaks]),
    )


def class_maps(one: Extraction) -> ClassMaps:
    """Means over all images of a class; at most twenty classes, evenly chosen."""
    present = np.unique(one.label)
    shown = present[np.unique(np.linspace(0, len(present) - 1, min(CLASSES_SHOWN, len(present))).astype(int))]
    steps = np.argsort(one.order, axis=1)
    means = np.stack([steps[one.label == label].mean(axis=0) for label in shown])
    firsts = np.stack([_first_share(one, int(label)) for label in shown])
    names = [one.classes[label] for label in shown]
    heads = ", ".join(names)
    maps = [step_colours(means, one.grid), shade(0.1 + 0.9 * firsts, "Greys")]
    return ClassMaps(
        one.name,
        names,
        sheet(maps[0], len(shown), _SIDE, f"Mean order of each class as a map: {heads}. Yellow first."),
        sheet(maps[1], len(shown), _SIDE, f"Where the walks of each class begin: {heads}. Dark is often."),
        len(one.order),
        bool((firsts.max(axis=(1, 2)) == 1).all()),
    )


def _first_share(one: Extraction, label: int) -> np.ndarray:
    """The share of a class's walks that begin at each position, as a grid."""
    begins = one.order[one.label == label, 0].astype(np.int64)
    share = np.bincount(begins, minlength=one.grid.positions) / len(begins)
    return share.reshape(one.grid.height, one.grid.width)


def _colours(found: Sequence[Extraction]) -> list[str]:
    """The colour of what they teach, where no two extractions share it."""
    own = [COLOURS.get(one.policy, OTHER_COLOURS[0]) for one in found]
    return (
        own if len(set(own)) == len(own) else [OTHER_COLOURS[i % len(OTHER_COLOURS)] for i in range(len(own))]
    )
