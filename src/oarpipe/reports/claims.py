"""From paired differences to verdicts and sentences. Pure: plain numbers in, plain text out.

Every comparison is asked so that a *negative* difference (left minus right, lower is better) speaks
for the claim. The interval decides, never the estimate alone; with fewer than three seeds a verdict
is about those seeds only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from oarpipe.reports.intervals import SEEDS_NEEDED, Difference, Interval, Series, difference, means

PLAIN = "plain"


class Verdict(StrEnum):
    """What the interval says of a claim."""

    FOR = "for"
    AGAINST = "against"
    OPEN = "open"
    UNMEASURED = "unmeasured"
    NOT_RUN = "not-run"


def verdict_of(found: Difference | None, *, better: int = -1) -> Verdict:
    """By the interval of a difference whose sign is `better` where it speaks for what is claimed."""
    if found is None:
        return Verdict.NOT_RUN
    if found.interval is None:
        return Verdict.UNMEASURED
    if not found.interval.excludes_zero():
        return Verdict.OPEN
    return Verdict.FOR if (found.interval.low > 0) == (better > 0) else Verdict.AGAINST


@dataclass(frozen=True)
class Words:
    """How a claim's verdicts are called while there are too few seeds for "holds"."""

    good: str = "better"
    bad: str = "worse"

    def of(self, verdict: Verdict) -> str:
        """The verdict in words."""
        return {
            Verdict.FOR: self.good,
            Verdict.AGAINST: self.bad,
            Verdict.OPEN: "not distinguishable",
            Verdict.UNMEASURED: "no interval was computed",
            Verdict.NOT_RUN: "not run",
        }[verdict]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a name in the results, what it is in a sentence; `name` None: not run."""

    name: str | None
    phrase: str


@dataclass(frozen=True)
class Comparison:
    """Left against right in one setting. `difference` is None where one of them was not measured."""

    left: Side
    right: Side
    setting: str
    measure: str
    left_mean: float | None
    right_mean: float | None
    difference: Difference | None

    @property
    def verdict(self) -> Verdict:
        """By the interval."""
        return verdict_of(self.difference)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds both sides were measured under."""
        return tuple(self.difference.by_seed) if self.difference else ()

    @property
    def digits(self) -> int:
        """Decimals that the measure is told with."""
        return 3 if self.measure == "NLL" else 2

    def sentence(self) -> str:
        """What was compared and what came out, whatever it is."""
        missing = [side.phrase for side in (self.left, self.right) if side.name is None]
        if missing:
            return f"Not run here: {' and '.join(f'“{phrase}”' for phrase in missing)}."
        if self.difference is None:
            return f"“{self.left.phrase}” and “{self.right.phrase}” were not both measured in this setting."
        assert self.left_mean is not None
        assert self.right_mean is not None
        digits = self.digits
        pair = (
            f"{capital(self.left.phrase)}: {self.measure} {number(self.left_mean, digits)}; "
            f"{self.right.phrase}: {number(self.right_mean, digits)}."
        )
        return f"{pair} {difference_sentence(self.difference, digits)}"


@dataclass(frozen=True)
class Claim:
    """A claim, what the paper reports for it (None where it is this pipeline's own), and its comparisons."""

    key: str
    title: str
    paper: str | None
    comparisons: tuple[Comparison, ...]
    words: Words = Words()

    def verdict(self, setting: str = PLAIN) -> Verdict:
        """For the claim only if every comparison made is; against it if any is."""
        made = [c.verdict for c in self.comparisons if c.setting == setting]
        made = [verdict for verdict in made if verdict is not Verdict.NOT_RUN]
        for worst in (Verdict.AGAINST, Verdict.UNMEASURED, Verdict.OPEN):
            if worst in made:
                return worst
        return Verdict.FOR if made else Verdict.NOT_RUN

    def wording(self, verdict: Verdict, seeds: Sequence[int]) -> str:
        """`holds`, or what may be said of fewer than three seeds."""
        if verdict in (Verdict.NOT_RUN, Verdict.UNMEASURED):
            return self.words.of(verdict)
        if len(seeds) >= SEEDS_NEEDED:
            return Words("holds", "does not hold").of(verdict)
        where = "on this seed" if len(seeds) == 1 else f"on these {len(seeds)} seeds"
        return f"{where}: {self.words.of(verdict)}"

    def chip(self, setting: str = PLAIN) -> str:
        """The verdict over all its comparisons in a setting, in words."""
        seeds = [c.seeds for c in self.comparisons if c.setting == setting and c.seeds]
        return self.wording(self.verdict(setting), min(seeds, key=len) if seeds else ())

    @property
    def settings(self) -> list[str]:
        """The settings it was asked in, the plain one first."""
        return list(dict.fromkeys(c.setting for c in self.comparisons))


def compare(
    left: Side,
    right: Side,
    values: Mapping[tuple[str, str], Series],
    *,
    setting: str = PLAIN,
    measure: str = "FD",
) -> Comparison:
    """Looks both sides up among `values`, keyed by (name, setting), and takes the paired difference."""
    a = values.get((left.name, setting)) if left.name else None
    b = values.get((right.name, setting)) if right.name else None
    found = difference(a, b) if a and b else None
    if found is None or a is None or b is None:
        return Comparison(left, right, setting, measure, None, None, None)
    left_mean, right_mean = means(found, a, b)
    return Comparison(left, right, setting, measure, left_mean, right_mean, found)


def against(claims: Sequence[Claim]) -> list[str]:
    """A sentence for each pair of arms whose interval contradicts a claim of the paper, in any setting."""
    found: dict[tuple[str, str, str], list[Comparison]] = {}
    for claim in claims:
        for one in claim.comparisons:
            if claim.paper is not None and one.verdict is Verdict.AGAINST:
                found.setdefault((one.right.phrase, one.left.phrase, one.measure), []).append(one)
    sentences = []
    for (ahead, behind, _), comparisons in found.items():
        seeds = (
            "on this seed" if len(comparisons[0].seeds) == 1 else f"over {len(comparisons[0].seeds)} seeds"
        )
        gaps = "; ".join(_gap(one) for one in comparisons)
        sentences.append(f"“{capital(ahead)}” is ahead of “{behind}” {seeds}, {gaps}.")
    return sentences


def _gap(one: Comparison) -> str:
    assert one.difference is not None
    assert one.difference.interval is not None
    digits = one.digits
    where = "" if one.setting == PLAIN else f"each at its best setting of search “{one.setting}” "
    low, high = (number(edge, digits) for edge in (one.difference.interval.low, one.difference.interval.high))
    return f"{where}by {number(one.difference.mean, digits)} {one.measure} (95 % interval {low} to {high})"


def difference_sentence(found: Difference, digits: int = 2) -> str:
    """The difference, its interval, and what kind of interval it is."""
    count = len(found.by_seed)
    if count == 1:
        (seed,) = found.by_seed
        if found.over_images is None:
            return f"Difference {signed(found.mean, digits)} on seed {seed}; no interval was computed."
        shown = f"95 % interval {span(found.over_images, digits)} (images of seed {seed} resampled)"
        return f"Difference {signed(found.mean, digits)}, {shown}."
    each = ", ".join(signed(value, digits) for value in found.by_seed.values())
    text = f"Mean difference over {count} seeds {signed(found.mean, digits)} ({each})"
    if found.over_seeds is not None:
        text += f", 95 % t-interval {span(found.over_seeds, digits)}"
    if found.over_images is not None:
        text += f"; images alone resampled, {span(found.over_images, digits)}"
    return text + "."


def number(value: float, digits: int) -> str:
    """A number with a true minus sign."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, digits: int) -> str:
    """A difference: always with its sign."""
    text = number(value, digits)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def span(interval: Interval, digits: int) -> str:
    """`−1.70 to −1.32`."""
    return f"{signed(interval.low, digits)} to {signed(interval.high, digits)}"


def capital(phrase: str) -> str:
    """The phrase as a sentence begins."""
    return phrase[:1].upper() + phrase[1:]
