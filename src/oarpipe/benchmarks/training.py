"""Training: forward and backward, and the whole step with clipping and optimiser; compiled on a GPU."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from oarpipe.base import noise
from oarpipe.base.devices import autocast, keep_freed_memory
from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.measure import Patience, Task, in_turn
from oarpipe.benchmarks.subjects import subject, told
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.training import Precision, TrainConfig
from oarpipe.models.flops import ModelSize, forward_matrix_flops, training_flops
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.training.objective import nll
from oarpipe.training.optimizers import adamw, clip

Found = dict[str, Any]
DROPOUT = 0.1  # as RandAR trains


class Trainee:
    """A model, its optimiser and one batch of random codes in random orders."""

    def __init__(self, config: BenchmarkConfig, machine: Machine, precision: Precision) -> None:
        self.device, self.precision, self.batch = machine.device, precision, config.batches[-1]
        if self.device.type == "cpu":
            keep_freed_memory()  # as the trainer does
        self.model: PositionTokens = subject(config.model, machine.device, dropout=DROPOUT).train()
        self.train = TrainConfig(steps=1)
        self.optimizer = adamw(self.model, self.train)
        positions, samples = self.model.grid.positions, torch.arange(self.batch)
        generator = torch.Generator().manual_seed(0)
        codes = torch.randint(0, self.model.codebook, (self.batch, positions), generator=generator)
        order = noise.permutations(0, noise.Stream.VISIT, samples, 0, positions)
        self.tokens, self.order = codes.to(self.device), order.to(self.device)
        self.labels = (samples % self.model.classes).to(self.device)
        compiles = self.device.type == "cuda"
        self.mean_loss = torch.compile(self._mean, fullgraph=True, dynamic=False) if compiles else self._mean

    def backward(self) -> None:
        """Forward and backward; the gradients are thrown away."""
        self._loss().backward()
        self.optimizer.zero_grad()

    def step(self) -> None:
        """All of a step."""
        self._loss().backward()
        clip(self.model, self.train)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _loss(self) -> Tensor:
        with autocast(self.device, self.precision):
            return self.mean_loss()

    def _mean(self) -> Tensor:
        return nll(self.model, self.tokens, self.order, self.labels).mean()


def training(config: BenchmarkConfig, machine: Machine) -> Found:
    """In both precisions; `matrix_flop` are a step's products without attention's."""
    precisions: list[Precision] = ["float32", "bfloat16"]
    trainees = {precision: Trainee(config, machine, precision) for precision in precisions}
    size = ModelSize.of(trainees["float32"].model)
    batch = config.batches[-1]
    tasks = [
        Task(
            name,
            partial(work, trainees[precision]),
            batch,
            flop=batch * training_flops(size),
            bytes=3 * 4 * (size.block_parameters + size.width * size.codebook),
            precision=precision,
        )
        for name, work in (("forward and backward", Trainee.backward), ("step", Trainee.step))
        for precision in precisions
    ]
    found = in_turn(tasks, machine, Patience(config.rounds, config.patience))
    return {
        "model": told(config.model),
        "matrix_flop": batch * 3 * forward_matrix_flops(size),
        **found,
    }
