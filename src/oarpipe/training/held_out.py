"""What a model makes of held-out images: what they cost it in orders and holes, which class it finds.

These are the skills of an any-order model, before and after every tuning (paper Eqs. 3-5).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from oarpipe.base.log import progress
from oarpipe.base.noise import Stream
from oarpipe.config.orders import drawn_anew
from oarpipe.config.outputs import ClassificationConfig, InformationConfig
from oarpipe.data.token_store import TokenSet
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.holes import HiddenLast, hidden
from oarpipe.orders.sources import OrderSource, Random, WrittenOrders, build_source
from oarpipe.training.objective import nll, sample_nll, visits


@dataclass(frozen=True)
class Walk:
    """Orders to walk in, `draws` an image; of each all steps count, or the `last` ones."""

    source: OrderSource
    draws: int = 1
    last: int | None = None


def walks_of(
    entry: InformationConfig, tokens: TokenSet, seed: int, written: Mapping[str, WrittenOrders]
) -> dict[str, Walk]:
    """Every order and hole of an entry, by name. Random orders are of a stream that no training reads."""
    walks = {
        name: Walk(
            build_source(order, tokens.grid, seed, written, stream=Stream.VISIT),
            draws=entry.draws if drawn_anew(order) else 1,
        )
        for name, order in entry.orders.items()
    }
    for name, hole in entry.holes.items():
        is_hidden = hidden(tokens.grid, hole.kind, hole.share)
        walks[name] = Walk(HiddenLast(is_hidden, seed, Stream.VISIT), last=int(is_hidden.sum()))
    return walks


def likelihood(model: TokenModel, tokens: TokenSet, walk: Walk, batch: int) -> dict[str, Any]:
    """NLL a token, nats: the mean over draws, of each sample and over all; of several draws their spread.

    `spread` is the standard deviation over an image's orders, its square averaged over images. It is zero
    for a model whose conditionals are those of one distribution, which costs the same in every order.
    """
    draws = torch.stack(
        [
            sample_nll(model, tokens, walk.source, batch, last=walk.last, draw=draw)
            for draw in range(walk.draws)
        ]
    )
    each = draws.mean(dim=0)
    told = {"nll": float(each.mean()), "per_sample": [round(x, 6) for x in each.tolist()]}
    if walk.draws > 1:
        told["spread"] = float(draws.var(dim=0).mean().sqrt())
    return told


def classification(
    model: TokenModel, tokens: TokenSet, config: ClassificationConfig, *, batch: int, seed: int, what: str
) -> dict[str, Any]:
    """By K: the share of samples whose class is found, and whether each one's is (1) or not (0)."""
    hits = class_hits(model, tokens, config, batch=batch, seed=seed, what=what)
    return {
        str(count): {"accuracy": float(hit.double().mean()), "per_sample": hit.int().tolist()}
        for count, hit in hits.items()
    }


def class_hits(
    model: TokenModel, tokens: TokenSet, config: ClassificationConfig, *, batch: int, seed: int, what: str
) -> dict[int, Bool[Tensor, " n"]]:
    """By K: whether a sample's class is the one under which its codes are likeliest over K random orders."""
    source = Random(tokens.grid.positions, seed, Stream.VISIT)
    labels = torch.from_numpy(tokens.labels).long()
    asked = torch.arange(model.classes).expand(len(tokens), -1)
    totals = torch.zeros(asked.shape, dtype=torch.float64)
    hits = {}
    for draw in progress(range(max(config.orders)), what, unit="order"):
        order = source(visits(tokens, slice(None), draw))
        totals += class_log_probs(model, tokens, order, asked, batch)
        if draw + 1 in config.orders:
            hits[draw + 1] = asked.gather(1, totals.argmax(dim=1, keepdim=True))[:, 0] == labels
        if draw == 0 and config.shortlist is not None:
            kept = totals.argsort(dim=1, descending=True, stable=True)[:, : config.shortlist]
            asked, totals = asked.gather(1, kept), totals.gather(1, kept)
    return hits


@torch.inference_mode()
def class_log_probs(
    model: TokenModel,
    tokens: TokenSet,
    order: Int[Tensor, "n N"],
    asked: Int[Tensor, "n M"],
    batch: int,
) -> Float[Tensor, "n M"]:
    """Log-probability, nats, of every sample's codes in its order under each class asked about; float64."""
    model.eval()
    device = next(model.parameters()).device
    codes = torch.from_numpy(tokens.tokens[:, 0]).long()
    found = []
    for pairs in torch.arange(asked.numel()).split(batch):
        rows, labels = pairs // asked.shape[1], asked.flatten()[pairs]
        steps = nll(model, codes[rows].to(device), order[rows].to(device), labels.to(device))
        found.append(-steps.double().sum(dim=1).cpu())
    return torch.cat(found).view(asked.shape)
