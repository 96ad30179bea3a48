"""The Python door: what a notebook needs, as stable as the command line."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from oarpipe.base.noise import Stream
from oarpipe.config.orders import FollowConfig, GreedyConfig, PolicyConfig
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.generation import check_codes
from oarpipe.decoding.walks import extract_orders, new_orders, sample_tokens
from oarpipe.errors import BadInput
from oarpipe.models import load_model
from oarpipe.models.order_head import OrderHead, load_head
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.sources import build_source
from oarpipe.tokenizers import load_tokenizer
from oarpipe.tokenizers.protocol import ImageTokenizer

__all__ = ["Samples", "extract_orders", "generate", "load_head", "load_model", "load_tokenizer"]


@dataclass(frozen=True)
class Samples:
    """Generated images, uint8 NCHW, and the walk that made them; tokens raster, the others by step."""

    images: UInt8[Tensor, "B C H W"]
    tokens: Int[Tensor, "B N"]
    order: Int[Tensor, "B N"]
    score: Float[Tensor, "B N"]


def generate(
    model: TokenModel,
    tokenizer: ImageTokenizer,
    labels: Int[Tensor, " B"],
    *,
    policy: PolicyConfig | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    seed: int = 0,
    head: OrderHead | None = None,
) -> Samples:
    """One image a label, greedily if no policy is given; the same seed gives the same images.

    `head` serves a policy that predicts places.
    """
    check_codes(model, tokenizer)
    wrong = labels[(labels < 0) | (labels > model.null_label)]
    if len(wrong) or not len(labels):
        got = f"label {int(wrong[0])}" if len(wrong) else "no label"
        raise BadInput(
            f"labels: got {got}; expected at least one, each 0..{model.classes - 1}, "
            f"or {model.null_label} for no class"
        )
    config = SamplesConfig(
        model="given",
        count=len(labels),
        policy=policy or GreedyConfig(select="greedy"),
        temperature=temperature,
        guidance=GuidanceConfig(scale=guidance),
    )
    source = None
    if isinstance(config.policy, FollowConfig):
        source = build_source(config.policy.order, model.grid, seed, stream=Stream.VISIT)
    samples = torch.arange(len(labels), device=labels.device)
    order = new_orders(source, labels, samples, labels.device)
    walk = sample_tokens(model, labels, config, samples=samples, seed=seed, order=order, head=head)
    images = tokenizer.decode(walk.tokens, model.grid)
    return Samples(images, walk.tokens, walk.order, walk.score)
