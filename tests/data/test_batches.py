"""Batches are functions of the step: every row once an epoch, in an order that only the seed decides."""

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.data.batches import TokenBatches
from oarpipe.data.token_store import TokenSet


def token_set(rows: int = 10, views: int = 1) -> TokenSet:
    ids = np.arange(rows, dtype=np.int64) + 1000
    tokens = ids[:, None, None] * 10 + np.arange(views)[None, :, None] * 5 + np.arange(4)[None, None, :]
    return TokenSet(
        tokens=tokens.astype(np.int32),
        labels=(ids % 3).astype(np.int32),
        sample_ids=ids,
        splits=np.zeros(rows, np.uint8),
        grid=Grid(2, 2),
        codebook=100_000,
        classes=["a", "b", "c"],
        views=["original", "flipped"][:views],
    )


@pytest.mark.parametrize("batch", [1, 4, 10, 25])
def test_every_epoch_visits_every_row_once(batch: int) -> None:
    batches = TokenBatches(token_set(), batch=batch, seed=0)
    ids = torch.cat([batches.batch(step).sample_ids for step in range(100 // batch)]).view(10, 10)
    assert torch.equal(ids.sort(dim=1).values, (torch.arange(10) + 1000).expand(10, 10))
    assert len({tuple(epoch) for epoch in ids.tolist()}) > 1


def test_a_batch_does_not_depend_on_the_batches_before() -> None:
    walked, asked = (TokenBatches(token_set(), batch=4, seed=3) for _ in range(2))
    for step in range(7):
        last = walked.batch(step)
    for name in ("tokens", "labels", "sample_ids", "views", "visits"):
        assert torch.equal(getattr(last, name), getattr(asked.batch(6), name))


def test_the_batch_size_does_not_change_the_sequence() -> None:
    few, many = TokenBatches(token_set(), batch=2, seed=0), TokenBatches(token_set(), batch=6, seed=0)
    assert torch.equal(torch.cat([few.batch(step).tokens for step in range(3)]), many.batch(0).tokens)


def test_tokens_and_labels_are_those_of_the_sample_and_view() -> None:
    tokens = token_set(views=2)
    batch = TokenBatches(tokens, batch=16, seed=0).batch(5)
    rows = batch.sample_ids.numpy() - 1000
    np.testing.assert_array_equal(batch.tokens.numpy(), tokens.tokens[rows, batch.views.numpy()])
    np.testing.assert_array_equal(batch.labels.numpy(), tokens.labels[rows])
    assert batch.visits.tolist() == list(range(80, 96))


def test_both_views_come_as_often() -> None:
    batches = TokenBatches(token_set(rows=100, views=2), batch=100, seed=0)
    views = torch.cat([batches.batch(step).views for step in range(40)])
    assert float(views.double().mean()) == pytest.approx(0.5, abs=0.03)


def test_seeds_shuffle_differently() -> None:
    a, b = (TokenBatches(token_set(100), batch=100, seed=seed).batch(0).sample_ids for seed in (0, 1))
    assert not torch.equal(a, b)


def test_epochs_are_counted_in_fractions() -> None:
    batches = TokenBatches(token_set(), batch=4, seed=0)
    assert [batches.epoch(step) for step in (0, 1, 5)] == [0.0, 0.4, 2.0]
    assert batches.size == 10
