"""Shuffled training batches without state: a batch is a function of the tokens, the seed and the step.

Samples are counted through the whole run; epoch `e` of the count visits every row once, in a
permutation drawn by noise. One indexing of an array in memory makes a batch, so there are no workers.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

from oarpipe.base import noise
from oarpipe.data.token_store import TokenSet


@dataclass(frozen=True)
class TokenBatch:
    """`visits` count the samples of the run: the key of all noise that a visit draws."""

    tokens: Int64[Tensor, "B N"]
    labels: Int64[Tensor, " B"]
    sample_ids: Int64[Tensor, " B"]
    views: Int64[Tensor, " B"]
    visits: Int64[Tensor, " B"]

    def rows(self, rows: Int64[Tensor, " R"]) -> "TokenBatch":
        """Some of its samples."""
        return TokenBatch(
            self.tokens[rows], self.labels[rows], self.sample_ids[rows], self.views[rows], self.visits[rows]
        )


class TokenBatches:
    """Batches of `batch` samples; those around an epoch's end hold rows of both epochs.

    batches = TokenBatches(tokens.select("train"), batch=64, seed=0)
    first = batches.batch(0)
    """

    def __init__(self, tokens: TokenSet, *, batch: int, seed: int) -> None:
        assert len(tokens) > 0, "no rows to train on"
        self.size = len(tokens)
        self._batch = batch
        self._seed = seed
        self._tokens = torch.from_numpy(tokens.tokens)
        self._labels = torch.from_numpy(tokens.labels)
        self._sample_ids = torch.from_numpy(tokens.sample_ids)
        self._shuffles: dict[int, Tensor] = {}  # remembered, never needed: they can be drawn again

    def epoch(self, step: int) -> float:
        """How often every row was visited before `step`, with its fraction."""
        return step * self._batch / self.size

    def batch(self, step: int) -> TokenBatch:
        """The batch of `step` (from 0)."""
        visits = torch.arange(step * self._batch, (step + 1) * self._batch)
        rows = self._rows(visits)
        num_views = self._tokens.shape[1]
        views = torch.zeros_like(visits)
        if num_views > 1:
            views = noise.bits(self._seed, noise.Stream.VIEW, visits) % num_views
        return TokenBatch(
            tokens=self._tokens[rows, views].long(),
            labels=self._labels[rows].long(),
            sample_ids=self._sample_ids[rows],
            views=views,
            visits=visits,
        )

    def _rows(self, visits: Int64[Tensor, " B"]) -> Int64[Tensor, " B"]:
        epochs = visits // self.size
        first, last = int(epochs[0]), int(epochs[-1])
        self._shuffles = {e: self._shuffle(e) for e in range(first, last + 1)}
        return torch.cat([shuffle[visits[epochs == e] % self.size] for e, shuffle in self._shuffles.items()])

    def _shuffle(self, epoch: int) -> Tensor:
        if epoch in self._shuffles:
            return self._shuffles[epoch]
        sample = torch.tensor([epoch])
        return noise.permutations(self._seed, noise.Stream.SHUFFLE, sample, 0, self.size)[0]
