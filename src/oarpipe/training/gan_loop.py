"""The loop that trains a VQGAN: a generator that reconstructs images, and a critic that it must please."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from oarpipe.base.augment import affine, mirrored
from oarpipe.base.devices import autocast
from oarpipe.base.distributed import any_of
from oarpipe.base.log import MetricsLog, progress
from oarpipe.base.noise import Stream, integer
from oarpipe.base.stopping import stop_requested
from oarpipe.base.sums import assembled, summed
from oarpipe.config.tokenizers import VQGANConfig
from oarpipe.config.training import TrainConfig
from oarpipe.errors import OarpipeError
from oarpipe.metrics.reconstruction import code_perplexity
from oarpipe.tokenizers.discriminator import PatchDiscriminator
from oarpipe.tokenizers.perceptual import PerceptualDistance
from oarpipe.tokenizers.quantize import CodeCare
from oarpipe.tokenizers.vqgan import VQGAN, from_uint8
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.gan_objective import critic_step_loss, generator_losses
from oarpipe.training.image_batches import ImageBatches
from oarpipe.training.optimizers import adamw, clip, set_rate
from oarpipe.training.parallel import sum_gradients
from oarpipe.training.shares import divided, rows

USAGE_STEPS = 100  # a code counts as used if it was within so many steps


@dataclass(frozen=True)
class GanRun:
    """One training run: what is trained, on what, and where its traces go. `validate` gives a PSNR."""

    name: str
    model: VQGAN
    batches: ImageBatches
    config: VQGANConfig
    seed: int
    metrics: Path
    checkpoints: Path
    perceptual: PerceptualDistance | None = None
    validate: Callable[[VQGAN], float] | None = None


def fit_gan(run: GanRun) -> VQGAN:
    """Trains to the end, from the newest checkpoint if there is one; returns the tokenizer to keep.

    A run that was killed and started again ends bit-identical to one that was not. On SIGTERM it saves
    and exits with status 75; running the same command again continues it. Several processes that call it
    together train one tokenizer, as one process would.
    """
    config, model = run.config.train, run.model
    state = _State(run)
    checkpoints = Checkpoints(run.checkpoints, config.checkpoint_minutes)
    first = checkpoints.restore(state.modules, state.optimizers)
    metrics = MetricsLog(run.metrics, first_step=first)
    clock, counted = time.perf_counter(), first
    model.train()
    with stop_requested() as stop:
        for step in progress(
            range(first, config.steps), run.name, total=config.steps, done=first, unit="step"
        ):
            images = _images(run, state.rows, step)
            if step == 0:
                everywhere = assembled(model.encodings(images), state.rows, config.batch)
                state.care.start(model.quantize, everywhere, run.seed)
            values = _step(run, state, images, step)
            done = step + 1
            if done % config.log_every == 0 or done == config.steps:
                now = time.perf_counter()
                rate = (done - counted) * config.batch / (now - clock)
                metrics.write(step, **values, images_per_second=round(rate, 1))
                clock, counted = now, done
            if run.validate and config.validate_every and done % config.validate_every == 0:
                metrics.write(step, validation_psnr=run.validate(model))
                model.train()
            is_left, is_due = any_of(stop.requested, checkpoints.due())
            if (is_left or is_due) and done < config.steps:
                checkpoints.save(done, state.modules, state.optimizers)
                if is_left:
                    stop.leave()
    kept = state.average.module if state.average else model
    assert isinstance(kept, VQGAN)
    return kept.eval()


class _State:
    """What a checkpoint holds (generator, codebook's care, critic, average, optimisers), and how it steps:
    on which rows of a batch, in which parts."""

    def __init__(self, run: GanRun) -> None:
        config, device = run.config, run.model.device
        self.mine = divided(config.train.batch, config.train.microbatch)
        self.rows = rows(self.mine)
        self.forward = torch.compile(run.model) if config.train.compile else run.model
        self.care = CodeCare(config.codebook, revive_after=config.revive_after).to(device)
        self.critic = _critic(config, run.seed, device)
        self.average = _average(run.model, config.train.ema)
        self.optimizer = adamw(run.model, config.train)
        self.modules: dict[str, nn.Module] = {"model": run.model, "codes": self.care}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"optimizer": self.optimizer}
        if self.average is not None:
            self.modules["ema"] = self.average
        if self.critic is not None:
            self.critic_optimizer = adamw(self.critic, _critic_train(config))
            self.modules["critic"] = self.critic
            self.optimizers["critic_optimizer"] = self.critic_optimizer


def _step(run: GanRun, state: _State, images: Float[Tensor, "B 3 H W"], step: int) -> dict[str, float]:
    """One step of generator, critic and codebook; returns what metrics.jsonl records of it."""
    train = run.config.train
    adversarial = run.config.adversarial
    critic = state.critic if adversarial is not None and step >= adversarial.start else None
    losses, encodings, tokens = _gradients(run, state, critic, images)
    values = dict(zip(losses, summed(torch.stack(list(losses.values()))).tolist(), strict=True))
    _check_finite(values, run.name, step)
    lr = set_rate(state.optimizer, train, step)
    norm = clip(run.model, train)
    state.optimizer.step()
    state.optimizer.zero_grad()
    if critic is not None:
        critic_train = _critic_train(run.config)
        set_rate(state.critic_optimizer, critic_train, step)
        clip(critic, critic_train)
        state.critic_optimizer.step()
        state.critic_optimizer.zero_grad()
    state.care.watch(run.model.quantize, encodings, tokens, seed=run.seed, step=step)
    if state.average is not None:
        state.average.update_parameters(run.model)
    codes = {
        "usage": state.care.usage(USAGE_STEPS),
        "perplexity": code_perplexity(tokens, run.config.codebook),
        "revived": int(state.care.revived),
    }
    return {**values, "lr": lr, "norm": float(norm), **codes}


def _gradients(
    run: GanRun, state: _State, critic: PatchDiscriminator | None, images: Float[Tensor, "B 3 H W"]
) -> tuple[dict[str, Tensor], Float[Tensor, "B D h w"], Int[Tensor, "B N"]]:
    """Both backward passes, a microbatch at a time: this process's shares of the mean losses, and of the
    whole batch the encodings and their codes."""
    totals: dict[str, Tensor] = {}
    seen: list[tuple[Tensor, Tensor]] = []
    batch = run.config.train.batch
    for mine, part in zip(state.mine, images.split([len(one) for one in state.mine]), strict=True):
        share = len(mine) / batch
        with autocast(images.device, run.config.train.precision):
            reconstructions, encodings, quantised = state.forward(part)
            losses = generator_losses(
                run.config,
                part,
                reconstructions,
                quantised,
                perceptual=run.perceptual,
                critic=critic,
                last_layer=run.model.last_layer,
                share=len(mine) / (mine.last - mine.first),
            )
        (losses["loss"] * share).backward()
        if critic is not None:
            with autocast(images.device, run.config.train.precision):
                losses["critic"] = critic_step_loss(critic, part, reconstructions)
            (losses["critic"] * share).backward()
        for name, loss in losses.items():
            totals[name] = totals.get(name, 0.0) + loss.detach() * share
        seen.append((encodings.detach(), quantised.tokens))
    sum_gradients(run.model, *([critic] if critic is not None else []))
    encodings, tokens = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return totals, assembled(encodings, state.rows, batch), assembled(tokens, state.rows, batch)


def _images(run: GanRun, rows: Int[Tensor, " B"], step: int) -> Float[Tensor, "B 3 H W"]:
    """These rows of the step's images in -1..1, moved a little if the recipe says so."""
    images = from_uint8(run.batches(step, rows).to(run.model.device))
    if run.config.flip:
        images = mirrored(images, run.seed, step, rows)
    return affine(images, run.seed, step, rows) if run.config.augment else images


def _critic(config: VQGANConfig, seed: int, device: torch.device) -> PatchDiscriminator | None:
    if config.adversarial is None:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer(seed, Stream.INIT, 1))  # sample 0 is the generator's
        critic = PatchDiscriminator(config.adversarial.channels, config.adversarial.layers)
    return critic.to(device)


def _critic_train(config: VQGANConfig) -> TrainConfig:
    """The generator's training options with the critic's learning rate, if it has its own."""
    lr = config.adversarial.lr if config.adversarial is not None else None
    return config.train if lr is None else config.train.model_copy(update={"lr": lr})


def _average(model: VQGAN, decay: float | None) -> AveragedModel | None:
    if decay is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))


def _check_finite(values: Mapping[str, float], name: str, step: int) -> None:
    wrong = [part for part, value in values.items() if not math.isfinite(value)]
    if wrong:
        raise OarpipeError(
            f"{name}: {wrong[0]} is {values[wrong[0]]} at step {step}; lower train.lr, or train.clip"
        )
