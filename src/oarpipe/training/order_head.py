"""Training of an order head: a ranking loss over the open positions, on the steps of extracted orders.

One forward of the frozen body over (tokens, order) gives what all steps of a walk would leave behind.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.base.devices import autocast
from oarpipe.base.log import MetricsLog, progress
from oarpipe.base.stopping import stop_requested
from oarpipe.config.order_heads import OrderHeadConfig
from oarpipe.config.orders import MonitorConfig
from oarpipe.data.batches import TokenBatch, TokenBatches
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import GateFailed, OarpipeError
from oarpipe.metrics.agreement import kendall_tau
from oarpipe.models.order_head import OrderHead, filled_before
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.algebra import apply
from oarpipe.orders.sources import OrderSource, Visits
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.optimizers import adamw, clip, set_rate

HITS = (1, 2, 4, 8)  # how many of the head's best the next place is looked for among


@dataclass(frozen=True)
class HeadRun:
    """One training of a head: on which frozen body, images and orders, and where its traces go."""

    name: str
    body: PositionTokens
    head: OrderHead
    train: TokenSet
    held_out: TokenSet
    orders: OrderSource
    config: OrderHeadConfig
    seed: int
    metrics: Path
    checkpoints: Path


def fit_head(run: HeadRun) -> OrderHead:
    """Trains to the end, from the newest checkpoint if there is one; `GateFailed` if the monitor stops it.

    As with models, a run that was killed and started again ends bit-identical to one that was not.
    """
    config, head = run.config.train, run.head.train()
    device = next(head.parameters()).device
    optimizer = adamw(head, config)
    checkpoints = Checkpoints(run.checkpoints, config.checkpoint_minutes)
    first = checkpoints.restore({"head": head}, {"optimizer": optimizer})
    metrics = MetricsLog(run.metrics, first_step=first)
    batches = TokenBatches(run.train, batch=config.batch, seed=run.seed)
    with stop_requested() as stop:
        for step in progress(
            range(first, config.steps), run.name, total=config.steps, done=first, unit="step"
        ):
            lr = set_rate(optimizer, config, step)
            torch.manual_seed(noise.integer(run.seed, noise.Stream.LAYERS, 0, step))
            batch = batches.batch(step)
            order = run.orders(_visits(batch)).to(device)
            with autocast(device, config.precision):
                scores = foreseen(run.body, head, batch.tokens.to(device), order, batch.labels.to(device))
            loss = ranking_loss(scores.float(), order, run.config.patience).mean()
            loss.backward()
            norm = clip(head, config)
            optimizer.step()
            optimizer.zero_grad()
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                watched = _watched(run, step, loss, scores.detach().float(), order)
                metrics.write(step, **watched, lr=lr, norm=float(norm))
            if config.validate_every and done % config.validate_every == 0:
                metrics.write(step, **{f"validation_{key}": v for key, v in judge(run).items()})
            if (stop.requested or checkpoints.due()) and done < config.steps:
                checkpoints.save(done, {"head": head}, {"optimizer": optimizer})
                if stop.requested:
                    stop.leave()
    return head.eval()


def foreseen(
    body: PositionTokens,
    head: OrderHead,
    tokens: Int[Tensor, "B N"],
    order: Int[Tensor, "B N"],
    labels: Int[Tensor, " B"],
) -> Float[Tensor, "B N N"]:
    """The head's scores before every step of a walk in `order`; nothing of it flows into the body."""
    with torch.no_grad():
        answers, content = body.answers(tokens, order, labels), body.content(apply(order, tokens))
    scores: Tensor = head(answers, content, order, labels)
    return scores


def ranking_loss(
    scores: Float[Tensor, "B N N"], order: Int[Tensor, "B N"], patience: float
) -> Float[Tensor, "B N"]:
    """The list loss of Plackett and Luce at every step, in nats.

    At step t the open places are drawn one by one, each by the softmax over those that remain, in the
    sequence in which the order fills them. The place that step j fills counts `patience ** (j - t)`, of
    the sum of these weights.
    """
    positions = order.shape[1]
    by_step = scores.gather(2, order[:, None].expand(-1, positions, -1))  # [B, t, j]
    ahead = torch.ones(positions, positions, dtype=torch.bool, device=order.device).triu()
    remaining = by_step.masked_fill(~ahead, float("-inf")).flip(2).logcumsumexp(2).flip(2)
    steps = torch.arange(positions, device=order.device)
    weights = ahead * torch.tensor(patience, device=order.device) ** (steps - steps[:, None]).clamp(min=0)
    weights = weights / weights.sum(dim=1, keepdim=True)
    surprise = torch.where(ahead, remaining - by_step, 0.0)
    return (weights * surprise).sum(dim=2)


@torch.inference_mode()
def judge(run: HeadRun) -> dict[str, float]:
    """Agreement with the held-out images' orders: loss; how often the next place is among the head's best
    1, 2, 4 and 8; Kendall's tau of the whole order as it is predicted at the start."""
    head = run.head.eval()
    device = next(head.parameters()).device
    losses, ranks, taus = [], [], []
    for begin in range(0, len(run.held_out), run.config.train.batch):
        rows = slice(begin, begin + run.config.train.batch)
        samples = torch.from_numpy(run.held_out.sample_ids[rows])
        labels = torch.from_numpy(run.held_out.labels[rows]).long().to(device)
        codes = torch.from_numpy(run.held_out.tokens[rows, 0]).long().to(device)
        order = run.orders(Visits(samples, torch.zeros_like(samples), labels.cpu(), samples)).to(device)
        scores = foreseen(run.body, head, codes, order, labels)
        losses.append(ranking_loss(scores, order, run.config.patience).mean(dim=1))
        better = scores > scores.gather(2, order[..., None])
        ranks.append((better & ~filled_before(order)).sum(dim=2)[:, :-1])  # the last place is no choice
        expected = scores[:, 0].argsort(dim=1, descending=True, stable=True)
        taus.append(kendall_tau(order.cpu().numpy(), expected.cpu().numpy()))
    run.head.train()
    rank = torch.cat(ranks)
    hits = {f"hit_{k}": float((rank < k).double().mean()) for k in HITS}
    return {"loss": float(torch.cat(losses).mean()), **hits, "tau": float(np.concatenate(taus).mean())}


def mean_spread(scores: Float[Tensor, "B N N"], order: Int[Tensor, "B N"]) -> float:
    """The standard deviation of predictions over the open places: mean of all steps that have a choice."""
    chosen = filled_before(order)[:, :-1]
    among = scores[:, :-1].masked_fill(chosen, float("nan"))
    centre = among.nanmean(dim=2, keepdim=True)
    return float(((among - centre) ** 2).nanmean(dim=2).sqrt().mean())


def held_apart(tokens: TokenSet, share: float) -> tuple[TokenSet, TokenSet]:
    """The images without every n-th, n = 1 / share, and those; at least one is held out, one is not."""
    counted = np.floor(np.arange(len(tokens) + 1) * share + 1e-9)
    held = np.diff(counted) > 0
    held[-1] |= not held.any()
    return _rows(tokens, ~held), _rows(tokens, held)


def _rows(tokens: TokenSet, rows: np.ndarray) -> TokenSet:
    columns = ("tokens", "labels", "sample_ids", "splits")
    return replace(tokens, **{name: getattr(tokens, name)[rows] for name in columns})


def _visits(batch: TokenBatch) -> Visits:
    return Visits(batch.sample_ids, batch.views, batch.labels, batch.visits)


def _watched(run: HeadRun, step: int, loss: Tensor, scores: Tensor, order: Tensor) -> Mapping[str, float]:
    """Loss and spread, both checked: a head that tells no place apart, or too much, is of no use."""
    value, spread = float(loss.detach()), mean_spread(scores, order)
    if not math.isfinite(value):
        raise OarpipeError(f"{run.name}: the loss is {value} at step {step}; lower train.lr, or train.clip")
    monitor: MonitorConfig = run.config.monitor
    if not monitor.low <= spread <= monitor.high:
        what = "collapsed" if spread < monitor.low else "exploded"
        raise GateFailed(
            f"{run.name}: predictions have {what} at step {step}: their spread over the open places is "
            f"{spread:.3g}, expected {monitor.low:g} to {monitor.high:g}; lower train.lr, or widen `monitor`"
        )
    return {"loss": value, "spread": spread}
