"""The loop that trains a model on orders: any-order, fixed, distilled or annealed, by its source alone."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oarpipe.base import noise
from oarpipe.base.devices import autocast, gemm_rate
from oarpipe.base.log import MetricsLog, progress
from oarpipe.base.schedules import start_share
from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import AnnealConfig
from oarpipe.data.batches import TokenBatch, TokenBatches
from oarpipe.errors import OarpipeError
from oarpipe.models.flops import ModelSize, training_flops
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import OrderSource, Visits
from oarpipe.training.checkpoints import STOPPED, Checkpoints, stop_requested
from oarpipe.training.objective import Forward, nll
from oarpipe.training.optimizers import adamw, clip, set_rate


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
    and exits with status 75; running the same command again continues it.
    """
    config, model = run.config.train, run.model
    device = next(model.parameters()).device
    optimizer = adamw(model, config)
    average = _average(model, config.ema)
    modules: dict[str, torch.nn.Module] = {"model": model} | ({"ema": average} if average else {})
    checkpoints = Checkpoints(run.checkpoints, config.checkpoint_minutes)
    first = checkpoints.restore(modules, {"optimizer": optimizer})
    metrics = MetricsLog(run.metrics, first_step=first)
    forward: Forward = torch.compile(model) if config.compile else model
    meter = _Meter(model, config.batch, device)
    model.train()
    with stop_requested() as stop:
        for step in progress(
            range(first, config.steps), run.name, total=config.steps, done=first, unit="step"
        ):
            lr = set_rate(optimizer, config, step)
            loss = torch.zeros((), device=device)
            for share, part in _microbatches(run, step, device):
                torch.manual_seed(noise.integer(run.seed, noise.Stream.LAYERS, part.index, step))
                with autocast(device, config.precision):
                    part_loss = nll(forward, part.tokens, part.order, part.labels).mean() * share
                part_loss.backward()
                loss += part_loss.detach()
            norm = clip(model, config)
            optimizer.step()
            optimizer.zero_grad()
            if average:
                average.update_parameters(model)
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                values = {"loss": _finite(loss, run.name, step), "lr": lr, "norm": float(norm)}
                metrics.write(step, **values, **meter.read(done), random_share=_random_share(run, step))
            if run.validate and config.validate_every and done % config.validate_every == 0:
                metrics.write(step, validation_nll=run.validate(model))
                model.train()
                meter.skip(done)
            if (stop.requested or checkpoints.due()) and done < config.steps:
                _finite(loss, run.name, step)
                checkpoints.save(done, modules, {"optimizer": optimizer})
                if stop.requested:
                    raise SystemExit(STOPPED)
    if average:
        model.load_state_dict(average.module.state_dict())
    return model.eval()


@dataclass(frozen=True)
class _Part:
    index: int
    tokens: Tensor
    order: Tensor
    labels: Tensor


def _microbatches(run: Run, step: int, device: torch.device) -> Iterator[tuple[float, _Part]]:
    """The step's batch with its orders and dropped labels, in parts; each with its share of the batch."""
    batch = run.batches.batch(step)
    order = run.source(_visits(batch, run.batches.epoch(step)))
    dropped = noise.uniform(run.seed, noise.Stream.NULL_CLASS, batch.visits) < run.config.class_dropout
    labels = batch.labels.masked_fill(dropped, run.model.null_label)
    size = run.config.train.microbatch or len(labels)
    for index, begin in enumerate(range(0, len(labels), size)):
        rows = slice(begin, begin + size)
        part = _Part(index, batch.tokens[rows].to(device), order[rows].to(device), labels[rows].to(device))
        yield len(part.labels) / len(labels), part


def _visits(batch: TokenBatch, epoch: float) -> Visits:
    """Who asks for orders in a batch."""
    return Visits(batch.sample_ids, batch.views, batch.labels, batch.visits, epoch)


def _average(model: PositionTokens, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


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
    """Tokens a second, and the share of this device's measured GEMM rate (MFU)."""

    def __init__(self, model: PositionTokens, batch: int, device: torch.device) -> None:
        self._tokens = batch * model.grid.positions
        self._share_per_rate = batch * training_flops(ModelSize.of(model)) / gemm_rate(device)
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
