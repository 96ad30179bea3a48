"""What a study's answers say: how often the first set was preferred, overall, by class and by pair.

Of one pair, participants answer independently, so its interval and test are binomial. Of a class, which has
few pairs, the question is what other participants would say of these; of the whole, what other participants
would say of other pairs, so both are resampled.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from jaxtyping import Bool
from scipy.stats import false_discovery_control

from oarpipe.errors import BadInput
from oarpipe.metrics.preference import (
    Rate,
    clustered_rate,
    independent_rate,
    rate_of_these_pairs,
    sign_test,
)
from oarpipe.study.answers import Answers, Gathered, LeftOut

FORMAT = 1
FALSE_DISCOVERIES = 0.05  # share among the pairs called decided


@dataclass(frozen=True)
class Pair:
    """One pair: how many preferred the first set's picture, and whether that is more than chance."""

    item: int
    caption: str
    rate: Rate
    p: float
    decided: bool  # at a false discovery rate of 5 % among all pairs


@dataclass(frozen=True)
class Class:
    """All pairs of one class."""

    name: str
    pairs: int
    rate: Rate


@dataclass(frozen=True)
class Split:
    """How many lie on either side of one half, and the sign test of that."""

    ahead: int
    behind: int
    even: int
    p: float


@dataclass(frozen=True)
class Tally:
    """All that is told; rates are of the first set. `same_again` is None without repeats."""

    study: str
    names: tuple[str, str]
    participants: int
    left_out: list[LeftOut]
    overall: Rate
    by_pair: Split
    by_participant: Split
    went_left: Rate
    same_again: Rate | None
    seconds: float
    classes: list[Class]
    pairs: list[Pair]

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {"format": FORMAT, **asdict(self)}

    @property
    def verdict(self) -> str:
        """What may be said: whose pictures were preferred, if the interval leaves out one half."""
        first, second = self.names
        if self.overall.interval is None:
            return "too few participants or pairs, or all answers the same: no interval, and no verdict"
        low, high = self.overall.interval
        if low <= 0.5 <= high:
            return f"{first} and {second} are not distinguishable"
        return f"{first if low > 0.5 else second} is preferred"


def tally(gathered: Gathered, study: dict[str, Any] | None, *, replicates: int, seed: int) -> Tally:
    """Counts the answers that were kept; names and classes are study.json's."""
    kept = gathered.kept
    items = sorted(answer.item for answer in kept[0].of("pair"))
    choices = _choices(kept, items)
    labels = {one["item"]: study["classes"][str(one["label"])] for one in study["pairs"]} if study else {}
    names = (study["sets"]["a"]["name"], study["sets"]["b"]["name"]) if study else ("A", "B")
    if names[0] == names[1]:
        names = (f"{names[0]} (A)", f"{names[1]} (B)")
    lefts = [answer.went_left for one in kept for answer in one.of("pair")]
    again = [same for one in kept for same in _same_again(one)]
    return Tally(
        study=kept[0].study,
        names=names,
        participants=len(kept),
        left_out=gathered.left_out,
        overall=clustered_rate(choices, replicates=replicates, seed=seed),
        by_pair=_split(choices.mean(axis=0)),
        by_participant=_split(choices.mean(axis=1)),
        went_left=Rate(sum(lefts) / len(lefts), len(lefts), None),
        same_again=Rate(sum(again) / len(again), len(again), None) if again else None,
        seconds=median(answer.seconds for one in kept for answer in one.of("pair")),
        classes=_classes(choices, [labels[item] for item in items], replicates, seed) if labels else [],
        pairs=_pairs(choices, items, labels),
    )


def _choices(kept: Sequence[Answers], items: list[int]) -> Bool[np.ndarray, "P K"]:
    """Whether each participant chose the first set's picture of each pair."""
    rows = []
    for one in kept:
        chosen = {answer.item: answer.chosen == "a" for answer in one.of("pair")}
        if sorted(chosen) != items:
            raise BadInput(
                f"participants {kept[0].participant} and {one.participant} answered different pairs of one "
                "study; say with --study which pairs it has"
            )
        rows.append([chosen[item] for item in items])
    return np.array(rows)


def _same_again(one: Answers) -> list[bool]:
    first = {answer.item: answer.chosen for answer in one.of("pair")}
    return [first[answer.item] == answer.chosen for answer in one.of("repeat") if answer.item in first]


def _split(rates: np.ndarray) -> Split:
    ahead, behind = int((rates > 0.5).sum()), int((rates < 0.5).sum())
    return Split(ahead, behind, len(rates) - ahead - behind, sign_test(ahead, behind))


def _classes(choices: Bool[np.ndarray, "P K"], names: list[str], replicates: int, seed: int) -> list[Class]:
    found = []
    for name in sorted(set(names)):
        own = choices[:, np.array(names) == name]
        found.append(Class(name, own.shape[1], rate_of_these_pairs(own, replicates=replicates, seed=seed)))
    return found


def _pairs(choices: Bool[np.ndarray, "P K"], items: list[int], labels: dict[int, str]) -> list[Pair]:
    wins, count = choices.sum(axis=0).tolist(), len(choices)
    tests = [sign_test(won, count - won) for won in wins]
    decided = false_discovery_control(tests) <= FALSE_DISCOVERIES
    return [
        Pair(item, labels.get(item, ""), independent_rate(won, count), p, bool(sure))
        for item, won, p, sure in zip(items, wins, tests, decided, strict=True)
    ]
