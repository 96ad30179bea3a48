"""Shuffled batches of training images without state: a batch is a function of the seed and the step."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from oarpipe.base.noise import Stream, permutations
from oarpipe.errors import BadInput

RESIDENT_BYTES = 2**29  # image sets up to this size are read once and stay in memory


class ImageBatches:
    """Batches of `batch` images; every image comes once an epoch, in an order drawn by noise.

    What does not fit in memory is read one batch ahead, while the caller computes.

    batches = ImageBatches(source.load, source.index.rows("train"), batch=64, seed=0)
    images = batches(0)      # uint8 [64, 3, H, W]

    Of several processes each asks for its `rows` of a batch, at every step the same.
    `load_visits` loads images that differ from visit to visit; it gets their ids and the visits' numbers.
    """

    def __init__(
        self,
        load: Callable[[np.ndarray], np.ndarray],
        ids: Int64[np.ndarray, " n"],
        *,
        batch: int,
        seed: int,
        load_visits: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        if len(ids) == 0:
            raise BadInput("the dataset has no training images; check its `path` and `test_every`")
        self._load: Callable[[np.ndarray, np.ndarray], np.ndarray] = load_visits or (lambda ids, _: load(ids))
        self._ids = ids
        self._batch = batch
        self._seed = seed
        self._shuffles: dict[int, Tensor] = {}  # remembered, never needed: they can be drawn again
        self._reader = ThreadPoolExecutor(1)
        self._ahead: tuple[int, Future[np.ndarray]] | None = None
        self._resident: np.ndarray | None = None
        if not load_visits and load(ids[:1]).nbytes * len(ids) <= RESIDENT_BYTES:
            self._resident = load(ids)

    def __call__(self, step: int, rows: Int64[Tensor, " R"] | None = None) -> UInt8[Tensor, "R 3 H W"]:
        """The batch of `step` (from 0), or its `rows`."""
        if self._resident is not None:
            images = self._read(step, rows)
        else:
            due = self._ahead[1] if self._ahead and self._ahead[0] == step else self._read_later(step, rows)
            self._ahead = (step + 1, self._read_later(step + 1, rows))
            images = due.result()
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def _read_later(self, step: int, rows: Tensor | None) -> "Future[np.ndarray]":
        return self._reader.submit(self._read, step, rows)

    def _read(self, step: int, of_batch: Tensor | None) -> UInt8[np.ndarray, "R H W 3"]:
        visits = torch.arange(step * self._batch, (step + 1) * self._batch)
        visits = visits if of_batch is None else visits[of_batch]
        rows = self._rows(visits).numpy()
        if self._resident is not None:
            images: np.ndarray = self._resident[rows]
            return images
        return self._load(self._ids[rows], visits.numpy())

    def _rows(self, visits: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
        epochs = visits // len(self._ids)
        first, last = int(epochs[0]), int(epochs[-1])
        self._shuffles = {epoch: self._shuffle(epoch) for epoch in range(first, last + 1)}
        shuffles = torch.stack(list(self._shuffles.values()))
        return shuffles[epochs - first, visits % len(self._ids)]

    def _shuffle(self, epoch: int) -> Tensor:
        if epoch in self._shuffles:
            return self._shuffles[epoch]
        return permutations(self._seed, Stream.SHUFFLE, torch.tensor([epoch]), 0, len(self._ids))[0]
