"""The objective, against the definition written out."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from oarpipe.base.noise import Stream
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import Random, Rule
from oarpipe.training.objective import mean_nll, nll, sample_nll
from tests.training.toy import CODEBOOK, GRID, tokens

ModelMaker = Callable[..., PositionTokens]


def test_the_loss_of_a_step_is_minus_the_log_of_the_true_codes_share(tiny_model: ModelMaker) -> None:
    model = tiny_model(grid=GRID).double()
    codes = torch.from_numpy(tokens().tokens[:3, 0]).long()
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(b)) for b in range(3)])
    labels = torch.tensor([0, 4, model.null_label])
    found = nll(model, codes, order, labels).detach()
    logits = model(codes, order, labels).detach().numpy()
    for b in range(3):
        for step in range(9):
            shares = np.exp(logits[b, step]) / np.exp(logits[b, step]).sum()
            true = int(codes[b, order[b, step]])
            assert float(found[b, step]) == pytest.approx(-math.log(shares[true]), abs=1e-9)


def test_an_untrained_model_guesses(tiny_model: ModelMaker) -> None:
    assert mean_nll(tiny_model(grid=GRID, fresh=True), tokens(), 0) == pytest.approx(math.log(CODEBOOK), 1e-6)


def test_a_samples_likelihood_does_not_depend_on_the_batch(tiny_model: ModelMaker) -> None:
    model, source = tiny_model(grid=GRID), Random(9, 0, Stream.VISIT)
    whole = sample_nll(model, tokens(), source)
    assert whole.shape == (12,)
    assert torch.allclose(whole, sample_nll(model, tokens(), source, batch=5), atol=1e-5)


def test_the_order_matters_and_the_mean_is_over_random_ones_the_same_at_every_call(
    tiny_model: ModelMaker,
) -> None:
    model = tiny_model(grid=GRID)
    raster = sample_nll(model, tokens(), Rule(torch.arange(9)))
    drawn = sample_nll(model, tokens(), Random(9, 3, Stream.VISIT))
    assert not torch.allclose(raster, drawn, atol=1e-3)
    assert mean_nll(model, tokens(), 3) == mean_nll(model, tokens(), 3) == float(drawn.mean())
    assert mean_nll(model, tokens(), 3) != mean_nll(model, tokens(), 4)


def test_dropout_is_off_when_measuring(tiny_model: ModelMaker) -> None:
    model = tiny_model(grid=GRID, token_dropout=0.5, residual_dropout=0.5, ffn_dropout=0.5).train()
    assert mean_nll(model, tokens(), 0) == mean_nll(model, tokens(), 0)
