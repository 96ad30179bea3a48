"""Between pixels and codes, and from disk to batches: what stands before and behind the walks."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from oarpipe.base.grid import Grid
from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.measure import Patience, Task, in_turn
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.datasets import FolderConfig
from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.data.batches import TokenBatches
from oarpipe.data.images import ImageSource
from oarpipe.data.indexing import examine
from oarpipe.data.sources import open_source
from oarpipe.data.token_store import TokenSet
from oarpipe.tokenizers import flops
from oarpipe.tokenizers.vqgan import VQGAN

# LlamaGen's VQ-16, which RandAR's codes are made with.
VQ16 = VQGANAnatomy(
    kind="vqgan",
    stem="strided",
    factor=16,
    width=128,
    multipliers=[1, 1, 2, 2, 4],
    blocks=2,
    attention=True,
    code_dim=8,
    codebook=16384,
)
_JPEGS, _SIZE = 32, (500, 375)  # files of ImageNet's usual size
_ROWS, _BATCH = 20_000, 256  # of the token store, and read of it together


def images(config: BenchmarkConfig, machine: Machine) -> dict[str, Any]:
    """Tokenization and decoding by VQ-16 with random weights, one image at a time."""
    torch.manual_seed(0)
    tokenizer, side = VQGAN(VQ16).to(machine.device).eval(), config.resolution
    pixels = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8, device=machine.device)
    grid = Grid(side // 16, side // 16)
    codes = torch.randint(0, VQ16.codebook, (1, grid.positions), device=machine.device)
    encoder, decoder = list(flops.encoder(VQ16, side)), list(flops.decoder(VQ16, side))
    tasks = [
        Task(
            "tokenize",
            lambda: _none(tokenizer.encode(pixels)),
            1,
            flops.flops(encoder),
            4 * flops.weights(encoder),
        ),
        Task(
            "decode",
            lambda: _none(tokenizer.decode(codes, grid)),
            1,
            flops.flops(decoder),
            4 * flops.weights(decoder),
        ),
    ]
    found = in_turn(tasks, machine, Patience(config.rounds, config.patience))
    return {"model": f"VQ-16, 16,384 codes, {side} pixels, float32", **found}


def loader(config: BenchmarkConfig, machine: Machine) -> dict[str, Any]:
    """Training batches of codes out of memory; JPEGs from disk, checked, decoded and cropped."""
    positions = config.model.side**2
    batches = TokenBatches(_codes(positions, config.model.codebook), batch=_BATCH, seed=0)
    steps = iter(range(10**9))
    with tempfile.TemporaryDirectory() as folder:
        source = _pictures(Path(folder), config.resolution)
        ids = np.arange(_JPEGS)
        tasks = [
            Task(
                "training batches of codes",
                lambda: _none(batches.batch(next(steps))),
                _BATCH,
                bytes=_BATCH * positions * 4,
            ),
            Task("JPEGs of 500x375 pixels", lambda: _none(source.load(ids)), _JPEGS),
        ]
        found = in_turn(tasks, machine, Patience(config.rounds, config.patience))
    return {"model": f"{_ROWS:,} rows of {positions} codes; {_JPEGS} files, quality 90", **found}


def _none(made: object) -> None:
    """A task's run tells no seconds of its own."""


def _codes(positions: int, codebook: int) -> TokenSet:
    draw = np.random.default_rng(0)
    return TokenSet(
        tokens=draw.integers(0, codebook, (_ROWS, 1, positions)).astype(np.int32),
        labels=np.zeros(_ROWS, np.int32),
        sample_ids=np.arange(_ROWS, dtype=np.int64),
        splits=np.zeros(_ROWS, np.uint8),
        grid=Grid(1, positions),
        codebook=codebook,
        classes=["none"],
        views=["centre"],
    )


def _pictures(folder: Path, resolution: int) -> ImageSource:
    """Smooth random pictures as files, indexed."""
    draw = np.random.default_rng(0)
    (folder / "class").mkdir()
    for i in range(_JPEGS):
        coarse = Image.fromarray(draw.integers(0, 256, (48, 64, 3), np.uint8))
        coarse.resize(_SIZE, Image.Resampling.BICUBIC).save(folder / "class" / f"{i}.jpg", quality=90)
    source = open_source(FolderConfig(kind="folder", path=str(folder), resolution=resolution))
    return ImageSource(examine(source).index, resolution, source)
