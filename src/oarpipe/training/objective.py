"""What a step minimises: cross-entropy of the true codes, in the order that was asked for."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from oarpipe.base.noise import Stream
from oarpipe.data.token_store import TokenSet
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.algebra import apply
from oarpipe.orders.sources import OrderSource, Random, Visits

# (tokens, order, labels) -> logits [B, N, V] in step order
Forward = Callable[[Tensor, Tensor, Tensor], Tensor]


def nll(
    model: Forward, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B N"], labels: Int[Tensor, " B"]
) -> Float[Tensor, "B N"]:
    """Negative log-likelihood of every code, nats, in step order."""
    logits = model(tokens, order, labels)
    losses = nn.functional.cross_entropy(
        logits.flatten(0, 1), apply(order, tokens).flatten(), reduction="none"
    )
    return losses.view(order.shape)


_DRAW = 2**40  # between the counters of two draws: more than there are sample ids


def visits(tokens: TokenSet, rows: slice, draw: int = 0) -> Visits:
    """Some samples' first views ask for orders; at every `draw` a source that draws gives other ones."""
    samples = torch.from_numpy(tokens.sample_ids[rows])
    labels = torch.from_numpy(tokens.labels[rows]).long()
    return Visits(samples, torch.zeros_like(samples), labels, samples + draw * _DRAW)


@torch.inference_mode()
def sample_nll(
    model: TokenModel,
    tokens: TokenSet,
    source: OrderSource,
    batch: int = 64,
    *,
    last: int | None = None,
    draw: int = 0,
) -> Float[Tensor, " n"]:
    """Mean NLL a token of every sample's first view, nats, in the orders of `source`; dropout off.

    Of all steps, or of the `last` ones.
    """
    model.eval()
    device = next(model.parameters()).device
    rows = []
    for begin in range(0, len(tokens), batch):
        part = slice(begin, begin + batch)
        asked = visits(tokens, part, draw)
        codes = torch.from_numpy(tokens.tokens[part, 0]).long()
        steps = nll(model, codes.to(device), source(asked).to(device), asked.labels.to(device))
        rows.append(steps[:, -last if last else 0 :].mean(dim=1).cpu())
    return torch.cat(rows)


def mean_nll(model: TokenModel, tokens: TokenSet, seed: int) -> float:
    """Mean NLL a token in one random order a sample, the same at every call."""
    return float(sample_nll(model, tokens, Random(tokens.grid.positions, seed, Stream.VISIT)).mean())
