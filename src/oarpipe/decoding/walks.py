"""The two walks a user asks for: orders of given images, and new images."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.config.orders import FollowConfig, GreedyConfig, PolicyConfig, PredictedConfig, RuleConfig
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.guidance import Guided, Joint
from oarpipe.decoding.next_token import NextTokenDecoder
from oarpipe.decoding.policies import build_policy
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.predicted import Foreseeing, Predicted
from oarpipe.decoding.protocol import Decoder, Policy, Reveal, Walk
from oarpipe.decoding.reveals import Sampler, Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.errors import BadInput
from oarpipe.models.next_token import RASTER_ONLY, NextToken
from oarpipe.models.order_head import OrderHead
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
    head: OrderHead | None = None,
    temperature: float = 1.0,
    guidance: float = 1.0,
) -> Walk:
    """Walks with the truth in hand (paper §4.3); `tokens` in raster order. Greedy if no policy is given.

    `order` serves a `follow` policy, whose walk scores a given order; `head` a `predicted` one. Places are
    scored at `temperature`, and by guided logits if there is `guidance`, whose log-probabilities are then no
    likelihoods.
    """
    config = policy or GreedyConfig(select="greedy")
    chosen = build_policy(config, model.grid, order=order, truth=tokens, temperature=temperature)
    decoder = guided_decoder(model, labels, config, GuidanceConfig(scale=guidance, places="guided"), head)
    return _walked(decoder, chosen, Teacher(tokens), model, labels)


def sample_tokens(
    model: TokenModel,
    labels: Int[Tensor, " B"],
    config: SamplesConfig,
    *,
    samples: Int[Tensor, " B"],
    seed: int,
    order: Int[Tensor, "B N"] | None = None,
    head: OrderHead | None = None,
) -> Walk:
    """Walks without the truth (paper §4.5). Sample `samples[b]` gets the same noise in any batch.

    `order` serves a `follow` policy (`new_orders`), `head` a `predicted` one.
    """
    policy = build_policy(config.policy, model.grid, order=order)
    decoder = guided_decoder(model, labels, config.policy, config.guidance, head)
    return _walked(decoder, policy, Sampler(config, samples, seed, model.grid.positions), model, labels)


def new_orders(
    source: OrderSource | None, labels: Int[Tensor, " B"], samples: Int[Tensor, " B"], device: torch.device
) -> Int[Tensor, "B N"] | None:
    """The orders in which new samples are to be filled, where a source tells."""
    if source is None:
        return None
    return source(Visits(samples, torch.zeros_like(samples), labels, samples, device=device))


def guided_decoder(
    model: TokenModel,
    labels: Int[Tensor, " B"],
    policy: PolicyConfig,
    guidance: GuidanceConfig,
    head: OrderHead | None = None,
) -> Decoder:
    """The cached decoder of a model's kind, and one for the null class where there is guidance."""
    if guidance.scale == 1.0:
        return decoder_of(model, labels, policy, head)
    null = torch.full_like(labels, model.null_label)
    if isinstance(policy, FollowConfig) or guidance.places == "guided":
        return Joint(
            decoder_of(model, torch.cat([labels, null]), policy, head), guidance, model.grid.positions
        )
    return Guided(
        decoder_of(model, labels, policy, head),
        _cached_decoder(model, null, policy),
        guidance,
        model.grid.positions,
    )


def decoder_of(
    model: TokenModel, labels: Int[Tensor, " B"], policy: PolicyConfig, head: OrderHead | None = None
) -> Decoder:
    """The cached decoder of a model's kind; with a head, for a policy that wants its outlook."""
    decoder = _cached_decoder(model, labels, policy)
    if not isinstance(policy, PredictedConfig):
        return decoder
    if head is None or (head.positions, head.body_width) != (model.grid.positions, model.width):
        raise BadInput(
            "a policy that predicts places needs an order head, given as `head`, of a model of "
            f"{model.grid.positions} positions and width {model.width}"
        )
    return Foreseeing(decoder, head, model, labels)


def _cached_decoder(model: TokenModel, labels: Tensor, policy: PolicyConfig) -> Decoder:
    if isinstance(model, NextToken):
        raster = isinstance(policy, FollowConfig) and policy.order == RuleConfig(kind="rule", name="raster")
        if not raster:
            raise BadInput(RASTER_ONLY)
        return NextTokenDecoder(model, labels)
    assert isinstance(model, PositionTokens), type(model)
    visibility = policy.visibility if isinstance(policy, FollowConfig) else "independent"
    return PositionTokensDecoder(model, labels, visibility)


def _walked(decoder: Decoder, policy: Policy, reveal: Reveal, model: TokenModel, labels: Tensor) -> Walk:
    """The walk; where places were predicted, it tells how often they were not trusted."""
    walk = rollout(decoder, policy, reveal, model.grid, len(labels), labels.device)
    return replace(walk, exact_steps=policy.exact_steps) if isinstance(policy, Predicted) else walk
