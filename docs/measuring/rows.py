"""How stages' time and memory grow with the images: `python -m docs.measuring.rows WHAT IMAGES …`.

Run in the clone's root; each number of images is a process of its own, on random codes and orders of 256
positions. Told are CPU seconds, and how far memory rose above that of the imports; then, by the line through
the first and the last number, what more would take. WHAT: merge, orders, tokens, share, shuffle, index.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from oarpipe.base import noise
from oarpipe.base.grid import Grid
from oarpipe.config.datasets import FolderConfig
from oarpipe.data.batches import TokenBatches
from oarpipe.data.indexing import examine
from oarpipe.data.order_table import Orders, OrderTable, merge_parts, part_name, part_ranges
from oarpipe.data.sources import open_source
from oarpipe.data.token_store import TokenStore
from oarpipe.orders.sources import Table

POSITIONS, CODES = 256, 16_384  # of a 256-pixel image
FAR = (1_281_167, 100_000_000, 1_000_000_000)


def make_parts(rows: int, folder: Path, part: int = 512) -> None:
    """Random orders as an extraction leaves them, one view an image."""
    for span in part_ranges(rows, part):
        random, count = np.random.default_rng(span.start), len(span)
        OrderTable(
            sample_id=np.array(span),
            view=np.zeros(count, np.uint8),
            caption=np.full(count, -1, np.int16),
            label=(np.array(span) % 1000).astype(np.int32),
            order=random.random((count, POSITIONS), np.float32).argsort(axis=1).astype(np.uint16),
            score=random.random((count, POSITIONS), np.float32),
            mean_step_distance=np.ones(count, np.float32),
            provenance={"grid": "16x16"},
        ).write(folder / part_name(span.start, span.stop))


def merge(rows: int, folder: Path) -> None:
    """Parts of 512 rows become one table."""
    parts = [folder / part_name(span.start, span.stop) for span in part_ranges(rows, 512)]
    merge_parts(parts, np.arange(rows), 1, folder / "orders.parquet")


def make_orders(rows: int, folder: Path) -> None:
    """One table."""
    make_parts(rows, folder, part=rows)


def orders(rows: int, folder: Path) -> object:
    """A training reads its orders."""
    return Table("greedy", Orders.read(folder / part_name(0, rows)))


def make_tokens(rows: int, folder: Path) -> None:
    """A store of random codes; every tenth image is a test image."""
    store = TokenStore.create(
        folder / "tokens.zarr",
        rows=rows,
        grid=Grid(16, 16),
        codebook=CODES,
        classes=[str(i) for i in range(1000)],
        views=["original"],
        shard=65_536,
    )
    for i in store.missing():
        span = np.array(store.range_of(i))
        codes = np.random.default_rng(i).integers(0, CODES, (len(span), 1, POSITIONS), np.uint16)
        store.write_shard(i, codes, span % 1000, span, (span % 10 == 9).astype(np.uint8))


def tokens(rows: int, folder: Path) -> object:
    """A training reads its split and takes the first batch."""
    store = TokenStore.open(folder / "tokens.zarr")
    batches = TokenBatches(store.read(store.rows_of("train")), batch=256, seed=0)
    return batches.batch(0), batches


def share(rows: int, folder: Path) -> object:
    """One of many extractions reads its 512 images of the archive."""
    store = TokenStore.open(folder / "tokens.zarr")
    return store.read(store.rows_of("train")[:512])


def shuffle(rows: int, folder: Path) -> object:
    """The order of the images in an epoch."""
    return noise.permutations(0, noise.Stream.SHUFFLE, torch.tensor([1]), 0, rows)


def make_index(rows: int, folder: Path) -> None:
    """JPEGs of 64 pixels in ten classes; 10,000 names share a file."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for i in range(rows):
        image = folder / "images" / f"n{i % 10:08d}" / f"n{i % 10:08d}_{i:08d}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        if i % 10_000 == 0:
            Image.fromarray(pixels).save(image)
            first = image
        else:
            os.link(first, image)


def index(rows: int, folder: Path) -> object:
    """They are listed and decoded."""
    return examine(open_source(FolderConfig(kind="folder", path=str(folder / "images"), resolution=64)))


MAKERS = {"merge": make_parts, "orders": make_orders, "index": make_index}
MAKERS |= dict.fromkeys(("tokens", "share"), make_tokens)
MEASURED = {f.__name__: f for f in (merge, orders, tokens, share, shuffle, index)}


def carry_out(what: str, rows: int, folder: Path) -> tuple[float, float]:
    """CPU seconds of this process, and bytes beyond those of its imports."""
    memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    MEASURED[what](rows, folder)
    taken = time.process_time() - begin
    return taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024.0


def measure(what: str, size: int) -> tuple[float, float]:
    """One size, in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for verb in ("make", "do"):
            words = [sys.executable, "-m", "docs.measuring.rows", verb, what, str(size), folder]
            told = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        seconds, memory = map(float, told.split())
        return seconds, memory


def main(what: str, sizes: list[int]) -> None:
    """A line a size, and what the line through the first and the last comes to; so two sizes or more."""
    found = {}
    for size in sizes:
        found[size] = measure(what, size)
        print(f"{what} {size:>13,} {found[size][0]:12,.2f} s {found[size][1] / 1e6:12,.1f} MB", flush=True)
    slopes = [(found[sizes[-1]][i] - found[sizes[0]][i]) / (sizes[-1] - sizes[0]) for i in (0, 1)]
    print(f"{what} {'each':>13} {1e6 * slopes[0]:12,.2f} us {slopes[1]:12,.1f} B")
    for size in FAR:
        told = [found[sizes[-1]][i] + slopes[i] * (size - sizes[-1]) for i in (0, 1)]
        print(f"{what} {size:>13,} {told[0]:12,.0f} s {told[1] / 1e6:12,.0f} MB, extrapolated")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        MAKERS.get(sys.argv[2], lambda rows, folder: None)(int(sys.argv[3]), Path(sys.argv[4]))
    elif sys.argv[1] == "do":
        print(*carry_out(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))
    else:
        main(sys.argv[1], [int(size) for size in sys.argv[2:]])
