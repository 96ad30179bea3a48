"""Preferences between two sets of pictures: rates, intervals, tests, and what a design can find.

Every participant sees every pair once and must choose. Answers of one participant, and answers about one
pair, go together, so that their number is not the number of observations: the interval resamples
participants and pairs, each as a whole (the pigeonhole bootstrap, Owen 2007, "The pigeonhole bootstrap").
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import stats

from oarpipe.base import noise
from oarpipe.metrics.percentiles import LEVEL

POWER = 0.8
FEWEST = 5  # participants or pairs below which resampling them tells nothing of their spread

# How far a pair's true rate lies from the mean of all pairs, as a standard deviation. The paper's printed
# table has 0.239 over 21 pairs, of which 51 raters' chance explains 0.07.
SPREAD_OF_PAIRS = 0.23
# The same of participants; nobody has printed it. Assumed.
SPREAD_OF_PARTICIPANTS = 0.1

_BLOCK = 250  # replicates drawn at once


@dataclass(frozen=True)
class Rate:
    """How often the first was preferred, of `count` answers; the interval is None where it cannot be told."""

    value: float
    count: int
    interval: tuple[float, float] | None


def independent_rate(wins: int, count: int) -> Rate:
    """A rate of independent answers, such as those of all participants about one pair (Clopper-Pearson)."""
    interval = stats.binomtest(wins, count).proportion_ci(confidence_level=LEVEL, method="exact")
    return Rate(wins / count, count, (float(interval.low), float(interval.high)))


def clustered_rate(choices: Bool[np.ndarray, "P K"], *, replicates: int, seed: int) -> Rate:
    """The rate over P participants and K pairs; its interval speaks of other participants and other pairs.

    Where answers all agree, or participants or pairs are fewer than `FEWEST`, there is none. The method is
    slightly wide: it counts what is neither the pair's nor the participant's three times.
    """
    return _resampled(choices, clusters=choices.shape, replicates=replicates, seed=seed)


def rate_of_these_pairs(choices: Bool[np.ndarray, "P K"], *, replicates: int, seed: int) -> Rate:
    """The rate over P participants; its interval speaks of other participants and the same K pairs."""
    return _resampled(choices, clusters=choices.shape[:1], replicates=replicates, seed=seed)


def _resampled(
    choices: Bool[np.ndarray, "P K"], *, clusters: tuple[int, ...], replicates: int, seed: int
) -> Rate:
    """The interval is of the rates of resamples, in which `clusters` of rows (and columns) are drawn anew."""
    won = choices.astype(np.float64)
    rate = float(won.mean())
    if min(clusters) < FEWEST or rate in (0.0, 1.0):
        return Rate(rate, choices.size, None)
    rates = []
    for begin in range(0, replicates, _BLOCK):
        block = torch.arange(begin, min(begin + _BLOCK, replicates))
        people, *pairs = (_times_drawn(seed, block, count, side) for side, count in enumerate(clusters))
        sums = people @ won
        rates.append((sums * pairs[0] if pairs else sums).sum(axis=1) / won.size)
    low, high = np.quantile(np.concatenate(rates), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Rate(rate, choices.size, (float(low), float(high)))


def _times_drawn(seed: int, replicates: torch.Tensor, count: int, side: int) -> Float64[np.ndarray, "R n"]:
    """How often each of `count` things is among `count` draws with repeats; `side` parts rows and columns."""
    u = noise.uniform(
        seed, noise.Stream.STUDY, torch.arange(count)[None], replicates[:, None], torch.tensor(side)
    )
    drawn = torch.zeros(len(replicates), count, dtype=torch.float64)
    return drawn.scatter_add_(1, (u * count).long(), torch.ones_like(u)).numpy()


def sign_test(ahead: int, behind: int) -> float:
    """The two-sided probability of counts as uneven, if both were as likely; ties are left out."""
    return float(stats.binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0


def findable(
    participants: int,
    pairs: int,
    *,
    spread: float = SPREAD_OF_PAIRS,
    between: float = SPREAD_OF_PARTICIPANTS,
) -> float | None:
    """The true rate above one half whose 95 % interval leaves out one half in 80 % of such studies.

    Rates of pairs spread by `spread`, those of participants by `between`, both as standard deviations; what
    is left of an answer's variance p (1 - p) is chance, which the interval counts three times. The mean of
    all answers is taken as normal. None if not even 1 would be found; 1 - p is as easy to find as p.
    """
    if min(participants, pairs) < FEWEST:
        return None
    of_clusters = spread**2 / pairs + between**2 / participants
    for rate in np.arange(0.5, 1.0, 0.0005):
        chance = max(rate * (1 - rate) - spread**2 - between**2, 0.0) / (pairs * participants)
        half = stats.norm.ppf((1 + LEVEL) / 2) * (of_clusters + 3 * chance) ** 0.5
        if rate - 0.5 >= half + stats.norm.ppf(POWER) * (of_clusters + chance) ** 0.5:
            return float(rate)
    return None
