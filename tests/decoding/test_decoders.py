"""Every decoder equals the oracle that asks the training forward, for every policy and reveal."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.config.orders import (
    FollowConfig,
    LazyConfig,
    NearConfig,
    PerStepConfig,
    RandomConfig,
    Visibility,
)
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.cache import FusedCache
from oarpipe.decoding.guidance import Guided, Joint
from oarpipe.decoding.lazy import Lazy
from oarpipe.decoding.policies import Follow, Greedy, Near
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.protocol import Decoder, Policy, Reveal, Walk
from oarpipe.decoding.reference import MaskedDecoder, ReferenceDecoder
from oarpipe.decoding.reveals import Sampler, Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.scores import Truth, doubt, entropy, margin, max_prob
from oarpipe.decoding.walks import extract_orders
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.algebra import apply, is_order
from tests.decoding.both_branches import BothBranches

GRID = Grid(3, 3)  # of the oracle's cases; the golden ones have 4 x 4
FOUR_STEPS = PerStepConfig(kind="cosine", steps=4)
ONE = PerStepConfig()
LABELS = torch.tensor([0, 3, 4])
ORDER = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(b)) for b in range(3)])
TOKENS = torch.randint(0, 11, (3, 9), generator=torch.Generator().manual_seed(9))

POLICIES: dict[str, Callable[[], Policy]] = {
    "follow": lambda: Follow(ORDER),
    "follow, several a step": lambda: Follow(ORDER, FOUR_STEPS),
    "greedy": lambda: Greedy(max_prob, ONE, 9),
    "greedy by margin": lambda: Greedy(margin, ONE, 9),
    "greedy by entropy": lambda: Greedy(entropy, ONE, 9),
    "greedy by doubt": lambda: Greedy(doubt, ONE, 9),
    "greedy by the truth": lambda: Greedy(Truth(TOKENS), ONE, 9),
    "top-k": lambda: Greedy(max_prob, FOUR_STEPS, 9),
    "lazy": lambda: Lazy(max_prob, LazyConfig(select="lazy", least=2, share=0.2), GRID),
    "lazy by entropy, asking one": lambda: Lazy(entropy, LazyConfig(select="lazy", least=1, share=0), GRID),
    "lazy, several a step": lambda: Lazy(
        max_prob, LazyConfig(select="lazy", least=1, share=0.3, per_step=FOUR_STEPS), GRID
    ),
    "near": lambda: Near(max_prob, NearConfig(select="near", strength=0.5), GRID),
    "near, in cells": lambda: Near(max_prob, NearConfig(select="near", strength=0.1, unit="cells"), GRID),
}


def settings(**changes: object) -> SamplesConfig:
    policy = FollowConfig(select="follow", order=RandomConfig())
    return SamplesConfig.model_validate({"model": "m", "count": 3, "policy": policy, **changes})


REVEALS: dict[str, Callable[[], Reveal]] = {
    "teacher": lambda: Teacher(TOKENS),
    "sampler": lambda: Sampler(settings(), torch.arange(3), 7, 9),
    "cool top-k sampler": lambda: Sampler(settings(temperature=0.7, top_k=4), torch.arange(3), 7, 9),
    "top-p gumbel sampler": lambda: Sampler(settings(top_p=0.8, draw="gumbel"), torch.arange(3), 7, 9),
}
GUIDANCES: dict[str, GuidanceConfig | None] = {
    "no guidance": None,
    "constant": GuidanceConfig(scale=2.5),
    "linear, guided places": GuidanceConfig(scale=4.0, schedule="linear", places="guided"),
}


def walk(
    decoder: Callable[[PositionTokens, Tensor], Decoder],
    model: PositionTokens,
    policy: Policy,
    reveal: Reveal,
    guidance: GuidanceConfig | None = None,
) -> Walk:
    """Guided by two decoders, or by a joint one where both branches are asked about the same places."""
    null = torch.full_like(LABELS, model.null_label)
    made: Decoder
    if guidance is None:
        made = decoder(model, LABELS)
    elif guidance.places == "guided" or isinstance(policy, Follow):
        made = Joint(decoder(model, torch.cat([LABELS, null])), guidance, 9)
    else:
        made = Guided(decoder(model, LABELS), decoder(model, null), guidance, 9)
    return rollout(made, policy, reveal, GRID, 3, torch.device("cpu"))


def slow_walk(
    decoder: Callable[[PositionTokens, Tensor], Decoder],
    model: PositionTokens,
    policy: Policy,
    reveal: Reveal,
    guidance: GuidanceConfig | None = None,
) -> Walk:
    made: Decoder = decoder(model, LABELS)
    if guidance:
        null = decoder(model, torch.full_like(LABELS, model.null_label))
        made = BothBranches(made, null, guidance, 9)
    return rollout(made, policy, reveal, GRID, 3, torch.device("cpu"))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("reveal", REVEALS)
@pytest.mark.parametrize("guidance", GUIDANCES)
def test_the_cached_decoder_equals_the_oracle(
    tiny_model: Callable[..., PositionTokens], policy: str, reveal: str, guidance: str
) -> None:
    model = tiny_model(grid=GRID).double()
    settings = POLICIES[policy](), REVEALS[reveal](), GUIDANCES[guidance]
    fast = walk(PositionTokensDecoder, model, *settings)
    slow = slow_walk(ReferenceDecoder, model, *settings)
    assert bool(is_order(fast.order).all())
    assert torch.equal(fast.order, slow.order)
    assert torch.equal(fast.tokens, slow.tokens)
    assert (fast.score - slow.score).abs().max() < 1e-10
    assert (fast.log_prob - slow.log_prob).abs().max() < 1e-10


@pytest.mark.parametrize("policy", ["greedy", "top-k", "near"])
@pytest.mark.parametrize("guidance", GUIDANCES)
def test_logits_made_a_column_at_a_time_are_the_same(
    tiny_model: Callable[..., PositionTokens], policy: str, guidance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(grid=GRID).double()

    def run() -> Walk:
        return walk(
            PositionTokensDecoder, model, POLICIES[policy](), REVEALS["sampler"](), GUIDANCES[guidance]
        )

    at_once = run()
    monkeypatch.setattr("oarpipe.decoding.emissions.rows_at_once", lambda codebook, device: 1)
    in_turn = run()
    assert torch.equal(at_once.order, in_turn.order)
    assert torch.equal(at_once.tokens, in_turn.tokens)
    assert (at_once.score - in_turn.score).abs().max() < 1e-12
    assert (at_once.log_prob - in_turn.log_prob).abs().max() < 1e-12


@pytest.mark.parametrize("policy", POLICIES)
def test_the_masked_full_pass_equals_the_oracle(
    tiny_model: Callable[..., PositionTokens], policy: str
) -> None:
    model = tiny_model(grid=GRID).double()
    masked, slow = (
        walk(decoder, model, POLICIES[policy](), Teacher(TOKENS))
        for decoder in (MaskedDecoder, ReferenceDecoder)
    )
    assert torch.equal(masked.order, slow.order)
    assert (masked.score - slow.score).abs().max() < 1e-10


def test_a_given_order_walked_with_the_truth_is_the_training_forward(
    tiny_model: Callable[..., PositionTokens],
) -> None:
    model = tiny_model(grid=GRID).double()
    found = walk(PositionTokensDecoder, model, Follow(ORDER), Teacher(TOKENS))
    logits = model(TOKENS, ORDER, LABELS).log_softmax(-1)
    expected = logits.gather(2, apply(ORDER, TOKENS)[..., None])[..., 0]
    assert torch.equal(found.order, ORDER)
    assert torch.equal(found.tokens, TOKENS)
    assert (found.log_prob - expected).abs().max() < 1e-10


def test_greedy_orders_and_confidences_equal_the_official_brute_force(
    randar: PositionTokens, randar_golden: dict[str, np.ndarray]
) -> None:
    tokens, labels = (torch.tensor(randar_golden[k]).long() for k in ("tokens", "labels"))
    decoder = PositionTokensDecoder(randar, labels)
    found = rollout(decoder, Greedy(max_prob, ONE, 16), Teacher(tokens), Grid(4, 4), 3, torch.device("cpu"))
    assert np.array_equal(found.order.numpy(), randar_golden["greedy_order"])
    assert np.abs(found.score.numpy() - randar_golden["greedy_confidence"]).max() < 1e-5


@pytest.mark.parametrize("visibility", ["causal", "mutual"])
@pytest.mark.parametrize("guidance", GUIDANCES)
def test_queries_that_see_one_another_equal_the_full_pass_under_their_mask(
    tiny_model: Callable[..., PositionTokens], visibility: Visibility, guidance: str
) -> None:
    model = tiny_model(grid=GRID).double()
    settings = Follow(ORDER, FOUR_STEPS), REVEALS["sampler"](), GUIDANCES[guidance]
    fast = walk(partial(PositionTokensDecoder, visibility=visibility), model, *settings)
    slow = slow_walk(partial(MaskedDecoder, visibility=visibility), model, *settings)
    alone = walk(PositionTokensDecoder, model, *settings)
    assert torch.equal(fast.tokens, slow.tokens)
    assert (fast.log_prob - slow.log_prob).abs().max() < 1e-10
    assert (fast.score - alone.score).abs().max() > 1e-4


@pytest.mark.parametrize("visibility", ["causal", "mutual"])
def test_one_query_a_step_has_nobody_to_see(
    tiny_model: Callable[..., PositionTokens], visibility: Visibility
) -> None:
    model = tiny_model(grid=GRID).double()
    seeing = walk(
        partial(PositionTokensDecoder, visibility=visibility), model, Follow(ORDER), Teacher(TOKENS)
    )
    alone = walk(PositionTokensDecoder, model, Follow(ORDER), Teacher(TOKENS))
    assert (seeing.log_prob - alone.log_prob).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("policy", "visibility"),
    [
        ("follow", "independent"),
        ("follow, several a step", "independent"),
        ("follow, several a step", "causal"),
        ("follow, several a step", "mutual"),
        ("greedy", "independent"),
        ("top-k", "independent"),
    ],
)
def test_fused_attention_merged_by_log_sum_exp_is_the_same(
    tiny_model: Callable[..., PositionTokens],
    policy: str,
    visibility: Visibility,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_model(grid=GRID).double()
    decoder = partial(PositionTokensDecoder, visibility=visibility)
    plain = walk(decoder, model, POLICIES[policy](), REVEALS["sampler"]())
    monkeypatch.setattr("oarpipe.decoding.passes.cache_of", FusedCache)
    fused = walk(decoder, model, POLICIES[policy](), REVEALS["sampler"]())
    assert torch.equal(fused.order, plain.order)
    assert torch.equal(fused.tokens, plain.tokens)
    assert (fused.score - plain.score).abs().max() < 1e-10
    assert (fused.log_prob - plain.log_prob).abs().max() < 1e-10


@pytest.mark.parametrize(("first", "last"), [(1.0, 1.0), (1.0, 4.0), (2.5, 2.5)])
@pytest.mark.parametrize("steps", [16, 5])
def test_guided_samples_equal_the_official_ones_one_a_step_and_by_the_published_schedule(
    randar: PositionTokens, randar_golden: dict[str, np.ndarray], steps: int, first: float, last: float
) -> None:
    order, labels = (torch.tensor(randar_golden[k]).long() for k in ("order", "labels"))
    config = GuidanceConfig(scale=last, schedule="constant" if first == last else "linear")
    null = PositionTokensDecoder(randar, torch.full_like(labels, 10), "causal")
    guided = Guided(PositionTokensDecoder(randar, labels, "causal"), null, config, 16)
    policy = Follow(order, ONE if steps == 16 else PerStepConfig(kind="cosine", steps=steps))
    reveal = Sampler(settings(top_k=1), torch.arange(3), 0, 16)
    found = rollout(guided, policy, reveal, Grid(4, 4), 3, torch.device("cpu"))
    assert np.array_equal(found.tokens.numpy(), randar_golden[f"gen_steps{steps}_cfg{first}-{last}"])


def test_an_extraction_may_score_places_at_another_temperature_and_by_guided_logits(
    tiny_model: Callable[..., PositionTokens],
) -> None:
    def cool(logits: Tensor, candidates: Tensor) -> Tensor:
        return (logits / 0.4 - (logits / 0.4).logsumexp(-1, keepdim=True)).exp().max(-1).values

    model = tiny_model(grid=GRID).double()
    guidance = GuidanceConfig(scale=2.5, places="guided")
    slow = slow_walk(ReferenceDecoder, model, Greedy(cool, ONE, 9), Teacher(TOKENS), guidance)
    found = extract_orders(model, TOKENS, LABELS, temperature=0.4, guidance=2.5)
    plain = extract_orders(model, TOKENS, LABELS)
    assert torch.equal(found.order, slow.order)
    assert (found.score - slow.score).abs().max() < 1e-10
    assert not torch.equal(found.order, plain.order)


def test_a_sample_is_the_same_alone_and_in_a_batch(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model(grid=GRID).double()
    together = walk(PositionTokensDecoder, model, Greedy(max_prob, ONE, 9), REVEALS["sampler"]())
    for b in range(3):
        alone = rollout(
            PositionTokensDecoder(model, LABELS[b : b + 1]),
            Greedy(max_prob, ONE, 9),
            Sampler(settings(), torch.tensor([b]), 7, 9),
            GRID,
            1,
            torch.device("cpu"),
        )
        assert torch.equal(alone.tokens[0], together.tokens[b])
        assert torch.equal(alone.order[0], together.order[b])


def test_the_conditional_branch_chooses_the_places_unless_asked_otherwise(
    tiny_model: Callable[..., PositionTokens],
) -> None:
    model = tiny_model(grid=GRID).double()
    plain = walk(PositionTokensDecoder, model, Greedy(max_prob, ONE, 9), Teacher(TOKENS))
    conditional, guided = (
        walk(
            PositionTokensDecoder,
            model,
            Greedy(max_prob, ONE, 9),
            Teacher(TOKENS),
            GuidanceConfig(scale=3.0, places=places),
        )
        for places in ("conditional", "guided")
    )
    assert torch.equal(conditional.order, plain.order)
    assert not torch.equal(guided.order, plain.order)
