"""Which code appears at a chosen place: the true one, or one drawn from the model."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.base import noise
from oarpipe.config.samples import SamplesConfig


class Teacher:
    """The truth (extraction, paper §4.3)."""

    def __init__(self, tokens: Int[Tensor, "B N"]) -> None:
        self.tokens = tokens

    def __call__(self, positions: Int[Tensor, "B K"], logits: Float[Tensor, "B K V"]) -> Int[Tensor, "B K"]:
        return self.tokens.gather(1, positions)


class Sampler:
    """A draw: temperature, then top-k, then top-p, then noise keyed by sample and position.

    Keying by position and not by step pairs arms that fill the same places in different orders.
    """

    def __init__(self, config: SamplesConfig, samples: Int[Tensor, " B"], seed: int, positions: int) -> None:
        self.config, self.samples, self.seed = config, samples[:, None], seed
        every = torch.arange(positions, device=samples.device)
        self.uniform = noise.uniform(seed, noise.Stream.CODES, self.samples, 0, every)  # [B, N]

    def __call__(self, positions: Int[Tensor, "B K"], logits: Float[Tensor, "B K V"]) -> Int[Tensor, "B K"]:
        logits = _filtered(logits / self.config.temperature, self.config.top_k, self.config.top_p)
        if self.config.draw == "gumbel":
            codes = torch.arange(logits.shape[-1], device=logits.device)
            item = positions[..., None] * logits.shape[-1] + codes
            drawn = noise.gumbel(self.seed, noise.Stream.CODES, self.samples[..., None], 1, item)
            return (logits.double() + drawn).argmax(-1)
        cumulative = logits.double().softmax(-1).cumsum(-1)
        threshold = self.uniform.gather(1, positions)[..., None] * cumulative[..., -1:]
        return torch.searchsorted(cumulative, threshold, right=True)[..., 0]


def _filtered(logits: Tensor, top_k: int | None, top_p: float) -> Tensor:
    """Logits with what top-k and top-p leave out at -inf; the likeliest code always stays."""
    if top_k is not None and top_k < logits.shape[-1]:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, kept.indices, kept.values)
    if top_p < 1.0:
        ranked = logits.sort(dim=-1, descending=True, stable=True)
        mass = ranked.values.softmax(-1)
        out = mass.cumsum(-1) - mass > top_p
        logits = logits.masked_fill(out.scatter(-1, ranked.indices, out), float("-inf"))
    return logits
