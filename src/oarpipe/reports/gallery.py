"""Pictures for the page: sheets of images and order maps, tile by tile alike, as data addresses."""

import base64
import io
from dataclasses import dataclass

import matplotlib
import numpy as np
from jaxtyping import Float, Int, Integer, UInt8
from PIL import Image

from oarpipe.base.grid import Grid

# All sheets of a page hold at most this many pixels, which keeps the page below ten megabytes.
PIXELS = 8_000_000
# Small images are kept exactly; photographs are compressed.
EXACT_SIDE = 64
_QUALITY = 82
_EFFORT = 60


@dataclass(frozen=True)
class Sheet:
    """A picture with its size in pixels and the words for those who do not see it.

    Of tiles it knows how many stand in a row, and their side in pixels; any other picture has none.
    """

    data: str
    width: int
    height: int
    alt: str
    columns: int = 0
    side: int = 0
    tiles: int = 0


@dataclass(frozen=True)
class Chosen:
    """Which rows are shown, in reading order, and how many stand side by side."""

    rows: Int[np.ndarray, " n"]
    columns: int


def choose(labels: Int[np.ndarray, " n"], count: int, classes: int) -> Chosen:
    """About `count` rows, one class a column: the first rows of up to ten classes, evenly chosen."""
    present = np.unique(labels)
    shown = present[np.unique(np.linspace(0, len(present) - 1, min(classes, len(present))).astype(int))]
    rows_by_class = [np.flatnonzero(labels == label) for label in shown]
    depth = min([max(1, count // len(shown)), *map(len, rows_by_class)])
    rows = np.stack([rows[:depth] for rows in rows_by_class], axis=1)
    return Chosen(rows.reshape(-1), len(shown))


def tile_side(resolution: int, tiles: int) -> int:
    """The side at which `tiles` images fit the page: the images' own, or less."""
    return max(8, min(resolution, int((PIXELS / max(tiles, 1)) ** 0.5)))


def order_colours(order: Integer[np.ndarray, "n N"], grid: Grid) -> UInt8[np.ndarray, "n h w 3"]:
    """Each position in the paper's colours: yellow where the walk begins, violet where it ends."""
    return step_colours(np.argsort(order, axis=1).astype(np.float64), grid)


def step_colours(steps: Float[np.ndarray, "n N"], grid: Grid) -> UInt8[np.ndarray, "n h w 3"]:
    """The same for (mean) steps of raster positions."""
    share = steps / max(grid.positions - 1, 1)
    return shade(share.reshape(len(steps), grid.height, grid.width), "viridis_r")


def shade(share: Float[np.ndarray, "n h w"], colours: str) -> UInt8[np.ndarray, "n h w 3"]:
    """Values from 0 to 1 in a colour map."""
    colour = np.asarray(matplotlib.colormaps[colours](share))
    return (colour[..., :3] * 255).round().astype(np.uint8)


def sheet(tiles: UInt8[np.ndarray, "n h w 3"], columns: int, side: int, alt: str) -> Sheet:
    """Tiles in rows of `columns`, with transparent gaps; every tile becomes `side` pixels wide and high."""
    gap = max(1, side // 12)
    step = side + gap
    rows = -(-len(tiles) // columns)
    canvas = np.zeros((rows * step - gap, columns * step - gap, 4), np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * step, (i % columns) * step
        canvas[top : top + side, left : left + side, :3] = resize(tile, side)
        canvas[top : top + side, left : left + side, 3] = 255
    data = _encode(canvas, exact=side <= EXACT_SIDE)
    return Sheet(data, canvas.shape[1], canvas.shape[0], alt, columns, side, len(tiles))


def resize(tile: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "s s 3"]:
    """Larger by repeating pixels, smaller by averaging them."""
    if tile.shape[:2] == (side, side):
        return tile
    kind = Image.Resampling.NEAREST if max(tile.shape[:2]) <= side else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(tile).resize((side, side), kind))


def strip(images: UInt8[np.ndarray, "n h w 3"], grid: Grid, side: int) -> Sheet:
    """Images side by side without gaps, whole pixels a grid cell: what the page plays back."""
    cells = max(grid.height, grid.width)
    whole = max(1, side // cells) * cells
    tiles = np.concatenate([resize(image, whole) for image in images], axis=1)
    opaque = np.concatenate([tiles, np.full((*tiles.shape[:2], 1), 255, np.uint8)], axis=2)
    return Sheet(_encode(opaque, exact=whole <= EXACT_SIDE), tiles.shape[1], tiles.shape[0], "")


def _encode(canvas: UInt8[np.ndarray, "h w 4"], *, exact: bool) -> str:
    """The picture as an address that holds it: WebP, without loss where asked."""
    buffer = io.BytesIO()
    if exact:
        Image.fromarray(canvas).save(buffer, "WEBP", lossless=True, quality=_EFFORT)
    else:
        Image.fromarray(canvas).save(buffer, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
