"""What the arms made: sheets of samples beside their order maps, real images, generations to play back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from oarpipe.config.outputs import ReportConfig
from oarpipe.config.tokenizers import Views
from oarpipe.data.images import ImageSource, open_images
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import IncompleteData
from oarpipe.reports.arms import Arm
from oarpipe.reports.claims import PLAIN
from oarpipe.reports.extractions import Extraction, extractions
from oarpipe.reports.gallery import Sheet, choose, order_colours, sheet, strip, tile_side
from oarpipe.reports.results import Results
from oarpipe.reports.tables import setting_words

CLASSES_SHOWN = 10
_BATCH = 256


@dataclass(frozen=True)
class Pair:
    """Images and the orders they were filled in (or would be), tile by tile.

    `words` are the setting's; `rows` says which row of its set each tile is.
    """

    title: str
    words: str
    images: Sheet
    orders: Sheet | None
    rows: Sequence[int]
    setting: str = PLAIN


@dataclass(frozen=True)
class Playback:
    """Generations to fill in: the final images side by side, the order of each, the grid."""

    picture: Sheet
    orders: Sequence[Sequence[int]]
    grid: tuple[int, int]


@dataclass(frozen=True)
class ArmPictures:
    """All pictures of one arm; the first pair is the plain setting."""

    arm: Arm
    pairs: Sequence[Pair]
    playback: Playback | None


@dataclass(frozen=True)
class Pictures:
    """The gallery: the classes that head the columns, real images, and every arm."""

    classes: Sequence[str]
    seed: int
    real: Sequence[Pair]
    arms: Sequence[ArmPictures]
    positions: int


def pictures(results: Results, config: ReportConfig) -> Pictures:
    """The pictures of the first seed; every arm shows the same rows, which share their noise."""
    dataset = results.receipts["datasets"][0]
    source = open_images(dataset)
    stores = {
        (arm.name, setting): SampleStore.open(folder / "samples.zarr")
        for arm in results.arms
        for setting in results.settings
        if (folder := _folder(results, arm.name, setting)) is not None
    }
    if not stores:
        raise IncompleteData(f"no sample set of seed {results.seed} was given; name them with --samples")
    side = tile_side(source.resolution, 2 * config.images * (len(stores) + 1))
    arms = []
    for arm in results.arms:
        own = [
            (setting, stores[arm.name, setting])
            for setting in results.settings
            if (arm.name, setting) in stores
        ]
        if own:
            pairs = [_pair(results, arm, setting, store, config.images, side) for setting, store in own]
            arms.append(ArmPictures(arm, pairs, _playback(own[0][1], config.playbacks)))
    first = next(iter(stores.values()))
    shown = choose(first.read("labels"), config.images, CLASSES_SHOWN)
    heads = first.read("labels")[shown.rows[: shown.columns]]
    names = [source.index.classes[label] for label in heads]
    real = _real(results, source, heads, len(shown.rows) // shown.columns, side)
    return Pictures(names, results.seed, real, arms, first.grid.positions)


def _folder(results: Results, arm: str, setting: str) -> Path | None:
    if setting != PLAIN:
        return results.search_folder(setting, arm, results.seed)
    receipt = results.receipt("samples", arm, results.seed)
    return receipt.folder if receipt else None


def _pair(results: Results, arm: Arm, setting: str, store: SampleStore, count: int, side: int) -> Pair:
    chosen = choose(store.read("labels"), count, CLASSES_SHOWN)
    rows = _rows(store, chosen.rows)
    what = f"{len(chosen.rows)} samples: {arm.phrase}"
    return Pair(
        setting_title(setting),
        setting_words(results, arm.name, setting),
        sheet(rows["images"], chosen.columns, side, f"{what}. One class a column."),
        sheet(
            order_colours(rows["orders"], store.grid),
            chosen.columns,
            side,
            f"The orders of these samples as maps, yellow first, violet last: {arm.phrase}.",
        ),
        chosen.rows.tolist(),
        setting,
    )


def setting_title(setting: str) -> str:
    """A setting's name, as headings call it."""
    return "plain setting" if setting == PLAIN else f"best of the search “{setting}”"


def _playback(store: SampleStore, count: int) -> Playback | None:
    if not count:
        return None
    chosen = choose(store.read("labels"), count, min(count, CLASSES_SHOWN))
    rows = _rows(store, chosen.rows[:count])
    picture = strip(rows["images"], store.grid, tile_side(store.resolution, 50 * count))
    return Playback(picture, rows["orders"].astype(int).tolist(), (store.grid.height, store.grid.width))


def _rows(store: SampleStore, rows: Int[np.ndarray, " n"]) -> Mapping[str, np.ndarray]:
    """Images and orders of some rows, without reading a store that may be large beyond the last of them."""
    kept: dict[str, list[np.ndarray]] = {"images": [], "orders": []}
    wanted = np.sort(rows)
    for i, batch in enumerate(store.batches(_BATCH)):
        begin = i * _BATCH
        here = wanted[(wanted >= begin) & (wanted < begin + _BATCH)] - begin
        for name, values in kept.items():
            values.append(batch[name][here])
        if begin + _BATCH > wanted[-1]:
            break
    back = np.searchsorted(wanted, rows)
    return {name: np.concatenate(values)[back] for name, values in kept.items()}


def _real(
    results: Results, source: ImageSource, labels: Int[np.ndarray, " c"], depth: int, side: int
) -> list[Pair]:
    """Training images of the same classes, with the orders each extraction wrote down for them."""
    index = source.index
    train = index.rows("train")
    of_class = [train[index.label[train] == label][:depth] for label in labels]
    least = min(len(ids) for ids in of_class)
    if not least:
        return []
    ids = np.stack([ids[:least] for ids in of_class], axis=1).reshape(-1)
    views: Views = next(
        (r.recipe["views"] for r in results.receipts["tokens"] if "dataset" in r.recipe), "centre"
    )
    shown = source.first_view(ids, views)
    images = sheet(shown, len(labels), side, f"{len(ids)} training images. One class a column.")
    pairs = []
    for extraction in extractions(results):
        maps = _extracted(extraction, ids)
        words = f"The orders of these images by {extraction.name} as maps, yellow first, violet last."
        if maps is not None:
            drawn = sheet(maps, len(labels), side, words)
            pairs.append(Pair(f"orders.{extraction.name}", "", images, drawn, ids.tolist()))
    return pairs or [Pair("training images", "", images, None, ids.tolist())]


def _extracted(extraction: Extraction, ids: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n h w 3"] | None:
    """The maps of some samples' orders; None if the extraction lacks one of them."""
    rows = np.searchsorted(extraction.sample_id, ids)
    rows = np.minimum(rows, len(extraction.sample_id) - 1)
    if (extraction.sample_id[rows] != ids).any():
        return None
    return order_colours(extraction.order[rows].astype(np.int64), extraction.grid)
