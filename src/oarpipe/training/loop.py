"""The loop that trains a model on orders: any-order, fixed, distilled or annealed, by its source alone."""

import copy
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from oarpipe.base import noise
from oarpipe.base.devices import autocast, gemm_rate, keep_freed_memory, sent
from oarpipe.base.distributed import any_of, world
from oarpipe.base.log import MetricsLog, progress
from oarpipe.base.schedules import start_share
from oarpipe.base.stopping import stop_requested
from oarpipe.base.sums import summed
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import AnnealConfig
from oarpipe.config.training import TrainConfig
from oarpipe.data.batches import TokenBatches
from oarpipe.data.parallel import in_parallel
from oarpipe.errors import OarpipeError
from oarpipe.models.flops import ModelSize, training_flops
from oarpipe.models.gradients import rows_of
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import OrderSource, Visits
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.objective import nll
from oarpipe.training.optimizers import adamw, clip, set_rate, update_average
from oarpipe.training.parallel import Together, must_be_shared, share_out
from oarpipe.training.shares import Share, rows, shares

BATCHES_AHEAD = 4  # made while others are computed with; an epoch's shuffle takes as long as many a step


@dataclass(frozen=True)
class Run:
    """One training run: what is trained, on what, in which orders, and where its traces go."""

    name: str
    model: PositionTokens
    batches: TokenBatches
    source: OrderSource
    config: ModelConfig
    seed: int
    metrics: Path
    checkpoints: Path
    validate: Callable[[PositionTokens], float] | None = None


def fit(run: Run) -> PositionTokens:
    """Trains to the end, from the newest checkpoint if there is one; returns the model to keep.

    A run that was killed and started again ends bit-identical to one that was not. On SIGTERM it saves
    and exits with status 75; running the same command again continues it. Between two lines of the log
    nothing waits for the device: batches and orders are made ahead, and no value is read.

    Several processes that call it together train one model, on the same batches, orders and noise as one
    process would; they may share it out, and then return shares of it (training/parallel).
    """
    config, model = run.config.train, run.model
    average = copy.deepcopy(model) if config.ema is not None else None
    if must_be_shared(model, run.config):
        for one in filter(None, (model, average)):
            share_out(one)
    device = next(model.parameters()).device
    if device.type == "cpu":
        keep_freed_memory()
    optimizer = adamw(model, config)
    modules = {"model": model} | ({"ema": average} if average else {})
    checkpoints = Checkpoints(run.checkpoints, config.checkpoint_minutes)
    first = checkpoints.restore(modules, {"optimizer": optimizer})
    metrics = MetricsLog(run.metrics, first_step=first)
    together = Together(_MeanLoss(model), model, compiled=config.compile)
    mine = shares(config.batch, config.microbatch)
    meter = _Meter(model, config, device)
    model.train()
    steps = range(first, config.steps)
    batches = in_parallel(partial(_batch, run, mine, device=device), steps, ahead=BATCHES_AHEAD, threads=1)
    with stop_requested() as stop, closing(batches):
        told = progress(batches, run.name, total=config.steps, done=first, unit="step")
        for step, parts in zip(steps, told, strict=True):
            lr = set_rate(optimizer, config, step)
            loss = torch.zeros((), device=device)
            for part in parts:
                torch.manual_seed(part.seed)
                with together.part(is_last=part is parts[-1]), rows_of(*part.drawn_as):
                    with autocast(device, config.precision):
                        part_loss = together(part.tokens, part.order, part.labels) * part.share
                    part_loss.backward()
                loss += part_loss.detach()
            norm = clip(model, config)
            optimizer.step()
            optimizer.zero_grad()
            if average and config.ema is not None:
                update_average(average, model, decay=config.ema if step else 0.0)
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                values = {"loss": _finite(summed(loss), run.name, step), "lr": lr, "norm": float(norm)}
                metrics.write(step, **values, **meter.read(done), random_share=_random_share(run, step))
            if run.validate and config.validate_every and done % config.validate_every == 0:
                metrics.write(step, validation_nll=run.validate(model))
                model.train()
                meter.skip(done)
            is_left, is_due = any_of(stop.requested, checkpoints.due())
            if (is_left or is_due) and done < config.steps:
                _finite(summed(loss), run.name, step)
                checkpoints.save(done, modules, {"optimizer": optimizer})
                if is_left:
                    stop.leave()
    return (average or model).eval()


@dataclass(frozen=True)
class _Part:
    """What one forward is given, its share of the step's samples, and the seed of its dropout.

    `drawn_as` says which rows these are of those that the seed is for: the first, and how many there are.
    """

    tokens: Tensor
    order: Tensor
    labels: Tensor
    share: float
    seed: int
    drawn_as: tuple[int, int]


def _batch(run: Run, mine: list[Share], step: int, device: torch.device) -> list[_Part]:
    """This process's rows of the step's batch with orders and dropped labels, in parts, on the device."""
    batch = run.batches.batch(step).rows(rows(mine))
    epoch = run.batches.epoch(step)
    order = run.source(Visits(batch.sample_ids, batch.views, batch.labels, batch.visits, epoch, device))
    dropped = noise.uniform(run.seed, noise.Stream.NULL_CLASS, batch.visits) < run.config.class_dropout
    labels = sent(batch.labels.masked_fill(dropped, run.model.null_label), device)
    tokens = sent(batch.tokens, device)
    sizes = [len(share) for share in mine]
    cut = zip(mine, tokens.split(sizes), order.split(sizes), labels.split(sizes), strict=True)
    return [
        _Part(
            part_tokens,
            part_order,
            part_labels,
            share=len(share) / run.config.train.batch,
            seed=noise.integer(run.seed, noise.Stream.LAYERS, share.part, step),
            drawn_as=(share.begin - share.first, share.last - share.first),
        )
        for share, part_tokens, part_order, part_labels in cut
    ]


class _MeanLoss(nn.Module):
    """The loss of a part."""

    def __init__(self, model: PositionTokens) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Int[Tensor, "B N"], order: Int[Tensor, "B N"], labels: Int[Tensor, " B"]
    ) -> Float[Tensor, ""]:
        return nll(self.model, tokens, order, labels).mean()


def _random_share(run: Run, step: int) -> float:
    """The share of `start` orders at a step; 1 or 0 where nothing is annealed."""
    order = run.config.order
    if isinstance(order, AnnealConfig):
        return start_share(order, run.batches.epoch(step))
    return 1.0 if order.kind == "random" else 0.0


def _finite(loss: Tensor, name: str, step: int) -> float:
    value = float(loss)
    if not math.isfinite(value):
        raise OarpipeError(f"{name}: the loss is {value} at step {step}; lower train.lr, or train.clip")
    return value


class _Meter:
    """Tokens a second, and the share of the devices' GEMM rate, measured in the run's precision (MFU)."""

    def __init__(self, model: PositionTokens, config: TrainConfig, device: torch.device) -> None:
        self._tokens = config.batch * model.grid.positions
        rate = gemm_rate(device, getattr(torch, config.precision))
        self._share_per_rate = config.batch * training_flops(ModelSize.of(model)) / (rate * world().size)
        self._step: int | None = None
        self._clock = 0.0

    def read(self, done: int) -> dict[str, float]:
        """The rates since the last reading; nothing at the first, which has no beginning."""
        now, begin = time.perf_counter(), self._step
        rate = (done - begin) / (now - self._clock) if begin is not None else None
        self._step, self._clock = done, now
        if rate is None:
            return {}
        return {
            "tokens_per_second": round(rate * self._tokens, 1),
            "mfu": round(rate * self._share_per_rate, 4),
        }

    def skip(self, done: int) -> None:
        """Leaves the time of a validation out."""
        self._step, self._clock = done, time.perf_counter()
