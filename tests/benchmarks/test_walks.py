"""What a walk asks for without a cache, what it reads, and a walk of which only some steps are made."""

from collections.abc import Callable, Sequence

import pytest
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from oarpipe.benchmarks.costs import masked_cost, uncached_cost, walk_traffic
from oarpipe.benchmarks.machine import Machine
from oarpipe.benchmarks.sampled import Sampled
from oarpipe.benchmarks.sections import RASTER
from oarpipe.benchmarks.subjects import size_of, subject
from oarpipe.benchmarks.walks import GREEDY, Walker
from oarpipe.config.benchmarks import SubjectConfig
from oarpipe.decoding.emissions import Answers
from oarpipe.decoding.policies import build_policy
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.reference import MaskedDecoder, ReferenceDecoder
from oarpipe.decoding.reveals import Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.models.flops import ModelSize
from oarpipe.models.position_tokens import PositionTokens
from tests.benchmarks.conftest import CPU

SMALL = SubjectConfig(layers=2, heads=2, width=32, codebook=11, side=3, classes=5)


def products(run: Callable[[], object]) -> int:
    """FLOP of the products with weights, as torch counts them; attention's are apart."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_flop_counts()["Global"][torch.ops.aten.mm])


@pytest.mark.parametrize("decoder", [ReferenceDecoder, MaskedDecoder])
@pytest.mark.parametrize("policy", [RASTER, GREEDY])
def test_walks_without_a_cache_ask_for_what_the_counter_sees(
    here: Machine, decoder: type[ReferenceDecoder] | type[MaskedDecoder], policy: object
) -> None:
    walker = Walker(subject(SMALL), here, "float32")
    asked: Sequence[int] = [1] * 9 if policy is RASTER else range(9, 0, -1)
    cost = (uncached_cost if decoder is ReferenceDecoder else masked_cost)(walker.size, asked)
    seen = products(walker.by(decoder, policy, 1))  # type: ignore[arg-type]
    attention = cost - seen
    assert 0 < attention < 0.2 * cost


def test_a_walk_reads_all_matrices_at_every_step_and_what_it_has_written() -> None:
    size = ModelSize(layers=3, heads=2, width=8, hidden=16, codebook=10, positions=6)
    matrices = 3 * (4 * 8 * 8 + 3 * 8 * 16) + 8 * 10
    rows, history = 0, 1
    for places in (1, 2, 3):
        rows += history
        history += 2 * places
    expected = 4 * (3 * matrices + 5 * 3 * 2 * 8 * rows)
    assert walk_traffic(size, (1, 2, 3), samples=5, precision="float32") == expected
    assert walk_traffic(size, (1, 2, 3), samples=5, precision="bfloat16") == expected // 2


class Asked(PositionTokensDecoder):
    """Writes down how many places it was asked about."""

    def __init__(self, model: PositionTokens, labels: Tensor) -> None:
        super().__init__(model, labels)
        self.counts: list[int] = []

    def propose(self, candidates: Int[Tensor, "B M"]) -> Answers:
        self.counts.append(candidates.shape[1])
        return super().propose(candidates)


def walked(model: PositionTokens, every: int, here: Machine) -> tuple[Tensor, list[int], float]:
    decoder = Asked(model, torch.tensor([0, 1]))
    policy = Sampled(build_policy(GREEDY, model.grid), every, here)
    reveal = Teacher(torch.zeros(2, 9, dtype=torch.int64))
    walk = rollout(decoder, policy, reveal, model.grid, 2, CPU)
    return walk.order, decoder.counts, policy.seconds()


def test_a_sampled_walk_asks_about_all_places_at_some_steps_only(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("oarpipe.benchmarks.sampled.time.perf_counter", lambda: next(clock))
    order, counts, seconds = walked(subject(SMALL), 3, here)
    assert counts == [1, 8, 1, 1, 5, 1, 1, 2, 1]
    assert sorted(order[0].tolist()) == list(range(9))
    assert seconds == 9  # three steps of nine, of a second each


def test_a_walk_whose_every_step_is_sampled_is_the_walk_itself(here: Machine) -> None:
    order, counts, _ = walked(subject(SMALL), 1, here)
    model, labels = subject(SMALL), torch.tensor([0, 1])
    policy, reveal = build_policy(GREEDY, model.grid), Teacher(torch.zeros(2, 9, dtype=torch.int64))
    whole = rollout(PositionTokensDecoder(model, labels), policy, reveal, model.grid, 2, CPU)
    assert counts == list(range(9, 0, -1))
    assert torch.equal(order, whole.order)


def test_a_subject_has_the_sizes_it_was_given() -> None:
    assert size_of(SMALL) == ModelSize.of(subject(SMALL))
