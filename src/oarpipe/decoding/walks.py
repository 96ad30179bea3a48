"""The two walks a user asks for: orders of given images, and new images."""

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.config.orders import FollowConfig, GreedyConfig, PolicyConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.decoding.guidance import Guided
from oarpipe.decoding.next_token import NextTokenDecoder
from oarpipe.decoding.policies import build_policy
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.protocol import Decoder, Walk
from oarpipe.decoding.reveals import Sampler, Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.sources import OrderSource, Visits


def extract_orders(
    model: TokenModel,
    tokens: Int[Tensor, "B N"],
    labels: Int[Tensor, " B"],
    policy: PolicyConfig | None = None,
    *,
    order: Int[Tensor, "B N"] | None = None,
) -> Walk:
    """Walks with the truth in hand (paper §4.3); `tokens` in raster order. Greedy if no policy is given.

    `order` serves a `follow` policy, whose walk scores a given order.
    """
    config = policy or GreedyConfig(select="greedy")
    chosen = build_policy(config, model.grid, order=order, truth=tokens)
    return rollout(
        decoder_of(model, labels, config), chosen, Teacher(tokens), model.grid, len(labels), tokens.device
    )


def sample_tokens(
    model: TokenModel,
    labels: Int[Tensor, " B"],
    config: SamplesConfig,
    *,
    samples: Int[Tensor, " B"],
    seed: int,
    source: OrderSource | None = None,
) -> Walk:
    """Walks without the truth (paper §4.5). Sample `samples[b]` gets the same noise in any batch.

    `source` serves a `follow` policy.
    """
    order = None
    if isinstance(config.policy, FollowConfig):
        assert source is not None
        order = source(Visits(samples, torch.zeros_like(samples), labels, samples))
    policy = build_policy(config.policy, model.grid, order=order)
    decoder = decoder_of(model, labels, config.policy)
    if config.guidance.scale != 1.0:
        null = decoder_of(model, torch.full_like(labels, model.null_label), config.policy)
        decoder = Guided(decoder, null, config.guidance, model.grid.positions)
    return rollout(decoder, policy, Sampler(config, samples, seed), model.grid, len(labels), labels.device)


def decoder_of(model: TokenModel, labels: Int[Tensor, " B"], policy: PolicyConfig) -> Decoder:
    """The cached decoder of a model's kind."""
    if isinstance(model, NextToken):
        return NextTokenDecoder(model, labels)
    assert isinstance(model, PositionTokens), type(model)
    visibility = policy.visibility if isinstance(policy, FollowConfig) else "independent"
    return PositionTokensDecoder(model, labels, visibility)
