"""The next-token decoder equals the training forward along the raster, and goes no other way."""

import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.orders import (
    FollowConfig,
    GreedyConfig,
    NearConfig,
    PerStepConfig,
    PolicyConfig,
    RuleConfig,
)
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.guidance import Joint
from oarpipe.decoding.next_token import NextTokenDecoder
from oarpipe.decoding.policies import Follow
from oarpipe.decoding.protocol import Decoder, Walk
from oarpipe.decoding.reference import ReferenceDecoder
from oarpipe.decoding.reveals import Sampler, Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.decoding.walks import extract_orders, new_orders, sample_tokens
from oarpipe.errors import BadInput
from oarpipe.models.next_token import NextToken
from oarpipe.orders.sources import build_source
from tests.conftest import published_weights
from tests.decoding.both_branches import BothBranches

GRID = Grid(3, 3)
LABELS = torch.tensor([0, 3, 4])
RASTER = torch.arange(9).expand(3, -1)
TOKENS = torch.randint(0, 11, (3, 9), generator=torch.Generator().manual_seed(9))
FOLLOW = FollowConfig(select="follow", order=RuleConfig(kind="rule", name="raster"))


@pytest.fixture
def model() -> NextToken:
    made = NextToken(grid=GRID, codebook=11, classes=5, layers=2, heads=2, width=32)
    made.load_state_dict(published_weights(made))
    return made.double().eval()


def walk(
    decoder: type[NextTokenDecoder] | type[ReferenceDecoder],
    model: NextToken,
    guidance: GuidanceConfig | None,
) -> Walk:
    null = torch.full_like(LABELS, model.null_label)
    made: Decoder
    if guidance is None:
        made = decoder(model, LABELS)
    elif decoder is NextTokenDecoder:
        made = Joint(decoder(model, torch.cat([LABELS, null])), guidance, 9)
    else:
        made = BothBranches(decoder(model, LABELS), decoder(model, null), guidance, 9)
    settings = SamplesConfig(model="m", policy=FOLLOW, temperature=0.9)
    reveal = Sampler(settings, torch.arange(3), 7, 9)
    return rollout(made, Follow(RASTER), reveal, GRID, 3, torch.device("cpu"))


@pytest.mark.parametrize(
    "guidance",
    [
        None,
        GuidanceConfig(scale=1.75),
        GuidanceConfig(scale=4.0, schedule="linear", places="guided"),
    ],
    ids=["no guidance", "constant", "linear, guided places"],
)
def test_the_cached_decoder_equals_the_oracle(model: NextToken, guidance: GuidanceConfig | None) -> None:
    fast, slow = (walk(decoder, model, guidance) for decoder in (NextTokenDecoder, ReferenceDecoder))
    assert torch.equal(fast.tokens, slow.tokens)
    assert torch.equal(fast.order, RASTER)
    assert (fast.score - slow.score).abs().max() < 1e-10
    assert (fast.log_prob - slow.log_prob).abs().max() < 1e-10


def test_the_raster_walked_with_the_truth_is_the_training_forward(model: NextToken) -> None:
    found = rollout(
        NextTokenDecoder(model, LABELS), Follow(RASTER), Teacher(TOKENS), GRID, 3, torch.device("cpu")
    )
    logits = model(TOKENS, RASTER, LABELS).log_softmax(-1)
    assert (found.log_prob - logits.gather(2, TOKENS[..., None])[..., 0]).abs().max() < 1e-10


def test_sampling_and_scoring_find_the_decoder_by_themselves(model: NextToken) -> None:
    config = SamplesConfig(model="m", policy=FOLLOW, guidance=GuidanceConfig(scale=2.0))
    found = sample_tokens(model, LABELS, config, samples=torch.arange(3), seed=0, order=RASTER)
    assert torch.equal(found.order, RASTER)
    scored = extract_orders(model, found.tokens, LABELS, FOLLOW, order=RASTER)
    assert torch.equal(scored.tokens, found.tokens)


OTHERS: list[PolicyConfig] = [
    GreedyConfig(select="greedy"),
    NearConfig(select="near"),
    FollowConfig(select="follow", order=RuleConfig(kind="rule", name="spiral")),
    FOLLOW.model_copy(update={"per_step": PerStepConfig(kind="cosine", steps=4)}),
]


@pytest.mark.parametrize("policy", OTHERS, ids=["greedy", "near", "spiral", "several a step"])
def test_every_other_way_is_refused(model: NextToken, policy: PolicyConfig) -> None:
    order = None
    if isinstance(policy, FollowConfig):
        order = new_orders(build_source(policy.order, GRID, 0), LABELS, torch.arange(3), LABELS.device)
    config = SamplesConfig(model="m", policy=policy)
    with pytest.raises(BadInput, match="only goes in raster order, one place a step"):
        sample_tokens(model, LABELS, config, samples=torch.arange(3), seed=0, order=order)


def test_only_what_was_asked_about_can_be_filled(model: NextToken) -> None:
    decoder = NextTokenDecoder(model, LABELS)
    decoder.propose(RASTER[:, :1])
    with pytest.raises(AssertionError, match="were not asked about"):
        decoder.commit(RASTER[:, 1:2], TOKENS[:, :1])
    decoder.commit(RASTER[:, :1], TOKENS[:, :1])
    with pytest.raises(AssertionError, match="commit follows propose"):
        decoder.commit(RASTER[:, 1:2], TOKENS[:, :1])
