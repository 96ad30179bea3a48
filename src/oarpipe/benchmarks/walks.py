"""Walks as tasks: which decoder, policy and reveal, what they ask for, and a sample of their steps."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from oarpipe.base.noise import Stream
from oarpipe.benchmarks.costs import walk_traffic
from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.measure import Task
from oarpipe.benchmarks.sampled import Sampled
from oarpipe.config.orders import FollowConfig, GreedyConfig, PolicyConfig
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.config.training import Precision
from oarpipe.decoding.flops import filled, walk_cost
from oarpipe.decoding.policies import build_policy
from oarpipe.decoding.protocol import Decoder, Walk
from oarpipe.decoding.replay import replayed
from oarpipe.decoding.reveals import Sampler, Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.walks import decoder_of, extract_orders, new_orders, sample_tokens
from oarpipe.models.flops import ModelSize
from oarpipe.models.order_head import OrderHead
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import build_source

DecoderMaker = Callable[[PositionTokens, Tensor], Decoder]
GREEDY = GreedyConfig(select="greedy")
HEAD = 128  # width of an order head


@dataclass(frozen=True)
class Walker:
    """Extracts from random codes, and generates, with one model on one machine."""

    model: PositionTokens
    machine: Machine
    precision: Precision

    @property
    def size(self) -> ModelSize:
        """The model's."""
        return ModelSize.of(self.model)

    def extraction(self, name: str, policy: PolicyConfig, batch: int) -> Task:
        """Orders of `batch` images."""
        tokens, labels = self.codes(batch), self.labels(batch)

        def walk(tokens: Tensor, labels: Tensor) -> Walk:
            return extract_orders(self.model, tokens, labels, policy, head=self._head)

        run = partial(replayed(walk, policy, self.machine.device), tokens, labels)
        return self._task(name, run, batch, policy)

    def generation(
        self, name: str, policy: PolicyConfig, batch: int, guidance: GuidanceConfig | None = None
    ) -> Task:
        """Codes of `batch` images."""
        config = SamplesConfig(model="m", policy=policy, guidance=guidance or GuidanceConfig())
        source = None
        if isinstance(policy, FollowConfig):
            source = build_source(policy.order, self.model.grid, 0, stream=Stream.VISIT)
        samples, labels = torch.arange(batch).to(self.machine.device), self.labels(batch)

        def walk(labels: Tensor, samples: Tensor, order: Tensor | None = None) -> Walk:
            return sample_tokens(
                self.model, labels, config, samples=samples, seed=0, order=order, head=self._head
            )

        order = new_orders(source, labels, samples, self.machine.device)
        given = [labels, samples] if order is None else [labels, samples, order]
        run = partial(replayed(walk, policy, self.machine.device), *given)
        return self._task(name, run, batch, policy, guidance)

    def sampled_extraction(self, name: str, batch: int, every: int) -> Task:
        """Exact greedy extraction of which one step in `every` is carried out and timed."""
        return self._sampled(name, Teacher(self.codes(batch)), batch, every)

    def sampled_generation(self, name: str, batch: int, every: int) -> Task:
        """Greedy generation of which one step in `every` is carried out and timed."""
        config = SamplesConfig(model="m", policy=GREEDY)
        samples = torch.arange(batch).to(self.machine.device)
        return self._sampled(name, Sampler(config, samples, 0, self.size.positions), batch, every)

    @cached_property
    def _head(self) -> OrderHead:
        """An order head of random weights, for policies that predict."""
        torch.manual_seed(0)
        sizes = {"positions": self.size.positions, "classes": self.model.classes}
        return OrderHead(**sizes, body_width=self.size.width, width=HEAD).to(self.machine.device).eval()

    def by(
        self, decoder: DecoderMaker, policy: PolicyConfig, batch: int, *, truth: bool = False
    ) -> Callable[[], None]:
        """A walk by a decoder of one's choice; with the truth in hand it extracts, else it generates."""

        def run() -> None:
            config = SamplesConfig(model="m", policy=GREEDY)
            samples = torch.arange(batch).to(self.machine.device)
            reveal = Teacher(self.codes(batch)) if truth else Sampler(config, samples, 0, self.size.positions)
            raster = torch.arange(self.size.positions, device=self.machine.device).repeat(batch, 1)
            chosen = build_policy(policy, self.model.grid, order=raster)
            made = decoder(self.model, self.labels(batch))
            rollout(made, chosen, reveal, self.model.grid, batch, self.machine.device)

        return run

    def codes(self, batch: int) -> Tensor:
        """Random codes."""
        generator = torch.Generator().manual_seed(1)
        shape = (batch, self.model.grid.positions)
        return torch.randint(0, self.model.codebook, shape, generator=generator).to(self.machine.device)

    def labels(self, batch: int) -> Tensor:
        """Classes in turn."""
        return (torch.arange(batch) % self.model.classes).to(self.machine.device)

    def _task(
        self,
        name: str,
        run: Callable[[], object],
        batch: int,
        policy: PolicyConfig,
        guidance: GuidanceConfig | None = None,
    ) -> Task:
        read = partial(walk_traffic, self.size, filled(self.size, policy), precision=self.precision)
        reading = read(samples=batch)
        if guidance is not None and guidance.scale != 1.0:
            asks_alike = isinstance(policy, FollowConfig) or guidance.places == "guided"
            reading = read(samples=2 * batch) if asks_alike else 2 * reading
        return Task(
            name,
            partial(_whole, run),
            batch,
            flop=batch * walk_cost(self.size, policy, guidance, head=HEAD),
            bytes=reading,
            precision=self.precision,
        )

    def _sampled(self, name: str, reveal: Teacher | Sampler, batch: int, every: int) -> Task:
        def run() -> float:
            policy = Sampled(build_policy(GREEDY, self.model.grid), every, self.machine)
            decoder = decoder_of(self.model, self.labels(batch), GREEDY)
            rollout(decoder, policy, reveal, self.model.grid, batch, self.machine.device)
            return policy.seconds()

        whole = self._task(name, run, batch, GREEDY)
        note = f"1 step in {every} timed, the others asked about one place"
        return Task(name, run, batch, flop=whole.flop, bytes=whole.bytes, precision=self.precision, note=note)


def _whole(run: Callable[[], object]) -> None:
    run()
