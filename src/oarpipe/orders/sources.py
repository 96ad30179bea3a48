"""Where orders come from: pure functions of who asks and when.

Any-order training, raster training, distillation, annealing and every ablation differ only in the
source; no model knows (HOUSE W1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.base.devices import sent
from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_per_step, start_share
from oarpipe.config.orders import (
    AnnealConfig,
    AnotherConfig,
    ClassMeanConfig,
    LocalityConfig,
    MirroredConfig,
    OrderConfig,
    PermutationConfig,
    PerStepConfig,
    RandomConfig,
    ReversedConfig,
    RuleConfig,
    TableConfig,
)
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.orders.algebra import mean_order, mirror
from oarpipe.orders.locality import locality_order
from oarpipe.orders.rules import rule_order


@dataclass(frozen=True)
class Visits:
    """Who asks for orders: sample ids, views, labels, and a counter that is new at every visit.

    Orders come on `device`, where one is named, else on the visits' own. Tables are looked up on the CPU,
    so visits that stay there let a GPU be given its orders without waiting for it.
    """

    samples: Int[Tensor, " B"]
    views: Int[Tensor, " B"]
    labels: Int[Tensor, " B"]
    counters: Int[Tensor, " B"]
    epoch: float = 0.0
    device: torch.device | None = None

    @property
    def wanted_on(self) -> torch.device:
        """Where the orders are to be."""
        return self.device or self.samples.device

    def of(self, rows: Int[Tensor, " R"]) -> "Visits":
        """Some of them."""
        chosen = {name: getattr(self, name)[rows] for name in ("samples", "views", "labels", "counters")}
        return replace(self, **chosen, device=self.wanted_on)


@runtime_checkable
class OrderSource(Protocol):
    """Gives every visit its order."""

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]: ...


@runtime_checkable
class WrittenOrders(Protocol):
    """The columns of an order table that sources read."""

    @property
    def sample_id(self) -> np.ndarray: ...
    @property
    def view(self) -> np.ndarray: ...
    @property
    def label(self) -> np.ndarray: ...
    @property
    def order(self) -> np.ndarray: ...


class Rule:
    """One order for everybody."""

    def __init__(self, order: Int[Tensor, " N"]) -> None:
        self.order = order

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        return sent(self.order, visits.wanted_on).expand(len(visits.samples), -1)


class Random:
    """A uniform permutation for every visit, drawn where it is wanted."""

    def __init__(self, positions: int, seed: int, stream: noise.Stream) -> None:
        self.positions, self.seed, self.stream = positions, seed, stream

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        counters = sent(visits.counters, visits.wanted_on)
        return noise.permutations(self.seed, self.stream, counters, 0, self.positions)


class Permutation:
    """A uniform permutation for every sample, or class, the same at every visit."""

    def __init__(self, positions: int, seed: int, per: Literal["sample", "class"]) -> None:
        self.positions, self.seed, self.per = positions, seed, per

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        of_sample = self.per == "sample"
        stream = noise.Stream.SAMPLE_ORDER if of_sample else noise.Stream.CLASS_ORDER
        whose = sent(visits.samples if of_sample else visits.labels, visits.wanted_on)
        views = sent(visits.views, visits.wanted_on) if of_sample else 0
        return noise.permutations(self.seed, stream, whose, views, self.positions)


class Table:
    """The order that an extraction wrote down for a sample and view, or another source's."""

    def __init__(self, name: str, written: WrittenOrders, otherwise: OrderSource | None = None) -> None:
        self.name, self.otherwise = name, otherwise
        self.order = torch.as_tensor(written.order)  # as it was written: a quarter of int64
        samples, views = torch.as_tensor(written.sample_id).long(), torch.as_tensor(written.view).long()
        self._row = torch.full((int(samples.max()) + 1, int(views.max()) + 1), -1)
        self._row[samples, views] = torch.arange(len(samples))

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        samples, views = visits.samples.cpu(), visits.views.cpu()
        known = (samples < self._row.shape[0]) & (views < self._row.shape[1])
        rows = torch.where(known, self._row[samples * known, views * known], -1)
        order = sent(self.order[rows].long(), visits.wanted_on)
        left_out = (rows < 0).nonzero()[:, 0]
        if len(left_out) and self.otherwise is None:
            first = int(left_out[0])
            raise IncompleteData(
                f"orders.{self.name}: no order for sample {int(samples[first])}, view {int(views[first])}; "
                "was it extracted from another split or token store?"
            )
        if len(left_out) and self.otherwise is not None:
            order[sent(left_out, order.device)] = self.otherwise(visits.of(left_out))
        return order


class ClassMean:
    """One order a class: the mean of the class's extracted orders."""

    def __init__(self, name: str, written: WrittenOrders) -> None:
        self.name = name
        order, label = torch.as_tensor(written.order), torch.as_tensor(written.label).long()
        self.orders = {int(c): mean_order(order[label == c].long()) for c in label.unique()}

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        missing = sorted({int(c) for c in visits.labels} - set(self.orders))
        if missing:
            raise BadInput(
                f"orders.{self.name}: no extracted order of class {missing[0]}, so it has no mean order; "
                f"classes with one: {', '.join(map(str, self.orders))}"
            )
        return sent(torch.stack([self.orders[int(c)] for c in visits.labels]), visits.wanted_on)


class Another:
    """The order of another image of the class, drawn once for every sample and view."""

    def __init__(self, name: str, written: WrittenOrders, seed: int) -> None:
        self.name, self.seed = name, seed
        samples, labels = torch.as_tensor(written.sample_id).long(), torch.as_tensor(written.label).long()
        self._samples = int(samples.max()) + 1
        self._keys, self._rows = (labels * self._samples + samples).sort(stable=True)
        self._order = torch.as_tensor(written.order).long()

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        samples, views, labels = (x.cpu().long() for x in (visits.samples, visits.views, visits.labels))
        begin, end = self._span(labels, 0), self._span(labels, self._samples)
        own = samples.clamp(max=self._samples)
        own_begin, own_end = self._span(labels, own), self._span(labels, (own + 1).clamp(max=self._samples))
        others = (end - begin) - (own_end - own_begin)
        if (others < 1).any():
            label = int(labels[int((others < 1).nonzero()[0])])
            raise BadInput(f"orders.{self.name}: no other image of class {label} has an extracted order")
        drawn = begin + noise.bits(self.seed, noise.Stream.ANOTHER, samples, views) % others
        drawn += (own_end - own_begin) * (drawn >= own_begin)
        return sent(self._order[self._rows[drawn]], visits.wanted_on)

    def _span(self, labels: Int[Tensor, " B"], samples: Int[Tensor, " B"] | int) -> Int[Tensor, " B"]:
        """Where the rows of a class begin whose samples are at least these."""
        return torch.searchsorted(self._keys, labels * self._samples + samples)


class Reversed:
    """Another source's orders, the last place first."""

    def __init__(self, of: OrderSource) -> None:
        self.of = of

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        return self.of(visits).flip(1)


class Mirrored:
    """Another source's orders, left and right exchanged."""

    def __init__(self, of: OrderSource, grid: Grid) -> None:
        self.of, self.grid = of, grid

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        return mirror(self.of(visits), self.grid)


class Anneal:
    """Each visit draws the `start` order with a probability that falls over the epochs (paper §4.4)."""

    def __init__(self, config: AnnealConfig, start: OrderSource, to: OrderSource, seed: int) -> None:
        self.config, self.start, self.to, self.seed = config, start, to, seed

    def __call__(self, visits: Visits) -> Int[Tensor, "B N"]:
        share = start_share(self.config, visits.epoch)
        takes_start = noise.uniform(self.seed, noise.Stream.ANNEAL, visits.counters) < share
        takes_start = sent(takes_start, visits.wanted_on)
        return torch.where(takes_start[:, None], self.start(visits), self.to(visits))


def build_source(
    config: OrderConfig,
    grid: Grid,
    seed: int,
    tables: Mapping[str, WrittenOrders] | None = None,
    *,
    stream: noise.Stream = noise.Stream.ORDER,
) -> OrderSource:
    """The source a recipe asks for; `tables` holds the order tables it names."""
    tables = tables or {}

    def built(part: OrderConfig) -> OrderSource:
        return build_source(part, grid, seed, tables, stream=stream)

    match config:
        case RuleConfig():
            return Rule(rule_order(config.name, grid, seed))
        case RandomConfig():
            return Random(grid.positions, seed, stream)
        case PermutationConfig():
            return Permutation(grid.positions, seed, config.per)
        case LocalityConfig():
            per_step = PerStepConfig(kind="cosine", steps=config.steps)
            groups = places_per_step(per_step, grid.positions)
            return Rule(locality_order(grid, groups, apart=config.apart))
        case TableConfig():
            otherwise = None if config.otherwise is None else built(config.otherwise)
            return Table(config.orders, _written(tables, config.orders), otherwise)
        case ClassMeanConfig():
            return ClassMean(config.orders, _written(tables, config.orders))
        case AnotherConfig():
            return Another(config.orders, _written(tables, config.orders), seed)
        case ReversedConfig():
            return Reversed(built(config.of))
        case MirroredConfig():
            return Mirrored(built(config.of), grid)
        case AnnealConfig():
            return Anneal(config, built(config.start), built(config.to), seed)


def _written(tables: Mapping[str, WrittenOrders], name: str) -> WrittenOrders:
    if name not in tables:
        given = ", ".join(tables) or "none"
        raise BadInput(f"orders.{name}: needed but not given (given: {given}); name its folder with --orders")
    return tables[name]
