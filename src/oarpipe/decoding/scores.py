"""What makes a place a good next one: the score of an answer, float32 or wider, the higher the better.

Scores are taken at temperature 1, unless an extraction asks for another, and unfiltered; ties go to the
lowest position.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from oarpipe.decoding.protocol import Emission

Score = Callable[[Float[Tensor, "B M V"], Int[Tensor, "B M"]], Float[Tensor, "B M"]]


def max_prob(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Probability of the likeliest code (the paper's confidence)."""
    return logits.softmax(-1).amax(-1)


def margin(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Probability of the likeliest code less that of the second."""
    top = (logits.topk(2, dim=-1).values - logits.logsumexp(-1, keepdim=True)).exp()
    return top[..., 0] - top[..., 1]


def entropy(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """Negative entropy in nats: high where the model is sure."""
    log_prob = logits.log_softmax(-1)
    return (log_prob.exp() * log_prob).sum(-1)


def doubt(logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """One less the probability of the likeliest code: the least sure place first, a control."""
    return 1 - max_prob(logits, candidates)


class Truth:
    """Probability of the true code; it leaks the target, so its NLL is no likelihood."""

    def __init__(self, tokens: Int[Tensor, "B N"]) -> None:
        self.tokens = tokens

    def __call__(
        self, logits: Float[Tensor, "B M V"], candidates: Int[Tensor, "B M"]
    ) -> Float[Tensor, "B M"]:
        truth = self.tokens.gather(1, candidates)
        return logits.log_softmax(-1).gather(2, truth[..., None])[..., 0].exp()


SCORES: dict[str, Score] = {"max_prob": max_prob, "margin": margin, "entropy": entropy, "doubt": doubt}


def at(temperature: float, score: Score) -> Score:
    """The score at another temperature."""
    if temperature == 1.0:
        return score
    return lambda logits, candidates: score(logits / temperature, candidates)


def all_scores(score: Score, emission: Emission, candidates: Int[Tensor, "B M"]) -> Float[Tensor, "B M"]:
    """The scores of all candidates."""
    return torch.cat([score(logits, candidates[:, part]) for part, logits in emission.chunks()], dim=1)


def best(score: Float[Tensor, "B M"], count: int) -> tuple[Int[Tensor, "B K"], Float[Tensor, "B K"]]:
    """Columns and values of the highest scores, best first; equal ones by column, which is by position."""
    if count == 1:
        values, columns = score.max(dim=1, keepdim=True)
        return columns, values
    ranked = score.sort(dim=1, descending=True, stable=True)
    return ranked.indices[:, :count], ranked.values[:, :count]
