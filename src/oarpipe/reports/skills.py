"""Skills of an any-order model, before and after a tuning, and what is said of them.

One rule (`RULE`) decides for all of them whether a skill got worse, got better, or neither can be said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oarpipe.reports.arms import Tuning
from oarpipe.reports.claims import Verdict, Words, number, signed, span, verdict_of
from oarpipe.reports.intervals import SEEDS_NEEDED, Difference
from oarpipe.reports.tables import Cell

RULE = (
    "A skill counts as worse, or better, where the whole 95 % interval of its paired difference (after less "
    "before) lies on that side of zero. Where the interval holds zero, before and after are not "
    "distinguishable; the largest loss that the interval leaves possible is told. What was not measured "
    "before and after counts as none of these. Of twenty skills that did not change, one interval excludes "
    "zero by chance."
)
ORDERS = "Whole images, NLL in nats a token ↓"
HOLES = "Holes, NLL in nats a hidden token ↓"
DRAWN = "Images drawn ↓"
CLASSES = "Classes found by likelihood, share of images ↑"
WORDS = Words()


@dataclass(frozen=True)
class Skill:
    """One thing that is measured of every model; `key` is what the measurement calls it."""

    group: str
    key: str
    name: str
    unit: str = "nats"
    note: str = ""

    @property
    def better(self) -> int:
        """The sign of an improvement."""
        return 1 if self.group == CLASSES else -1

    @property
    def digits(self) -> int:
        """Decimals that it is told with."""
        return 2 if self.group == DRAWN else 3

    def size(self, change: float) -> str:
        """By how much it changed, without the sign."""
        told = number(100 * abs(change), 1) if self.unit == "points" else number(abs(change), self.digits)
        return f"{told} {self.unit}".rstrip()


@dataclass(frozen=True)
class SkillRow:
    """A skill of one model: before, in its any-order base, and after, and their paired difference."""

    skill: Skill
    before: Cell
    after: Cell
    found: Difference | None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """By the interval."""
        return verdict_of(self.found, better=self.skill.better)

    @property
    def word(self) -> str:
        """The verdict in words."""
        return WORDS.of(self.verdict)

    @property
    def change(self) -> str:
        """After less before."""
        return signed(self.found.mean, self.skill.digits) if self.found else ""

    @property
    def interval(self) -> str:
        """The interval that decides."""
        return span(self.found.interval, self.skill.digits) if self.found and self.found.interval else ""

    @property
    def beside_others(self) -> Cell:
        """What it is after, over its change."""
        mark = {Verdict.FOR: "lower", Verdict.AGAINST: "higher"}.get(self.verdict, "")
        return Cell(self.after.text, self.change, mark=mark)

    def told(self) -> str:
        """By how much it changed, in words."""
        assert self.found is not None
        return f"{self.skill.name} by {self.skill.size(self.found.mean)}"

    def at_worst(self) -> str:
        """Its name, and the largest loss that the interval leaves possible."""
        assert self.found is not None
        assert self.found.interval is not None
        worst = self.found.interval.low if self.skill.better > 0 else self.found.interval.high
        return f"{self.skill.name} by {self.skill.size(worst)}"


@dataclass(frozen=True)
class ModelHealth:
    """A model's skills; `base` is None where it is an any-order base itself."""

    model: str
    tuning: Tuning
    base: str | None
    rows: Sequence[SkillRow]
    seeds: int

    @property
    def groups(self) -> list[tuple[str, list[SkillRow]]]:
        """The rows under their headings."""
        names = dict.fromkeys(row.skill.group for row in self.rows)
        return [(name, [row for row in self.rows if row.skill.group == name]) for name in names]

    @property
    def chips(self) -> list[tuple[Verdict, str]]:
        """How many skills there are of every verdict, those that got worse first."""
        if self.base is None:
            return []
        order = Verdict.AGAINST, Verdict.OPEN, Verdict.FOR, Verdict.UNMEASURED, Verdict.NOT_RUN
        counts = [(verdict, len(self.of(verdict))) for verdict in order]
        return [(verdict, f"{count} {WORDS.of(verdict)}") for verdict, count in counts if count]

    def of(self, *verdicts: Verdict) -> list[SkillRow]:
        """The rows of some verdicts."""
        return [row for row in self.rows if row.verdict in verdicts]

    @property
    def sentence(self) -> str:
        """What got worse and by how much, what at most, what got better, and of what nothing is known."""
        if self.base is None:
            return "Not tuned, so there is nothing before it."
        if not self.of(Verdict.AGAINST, Verdict.OPEN, Verdict.FOR):
            return f"Nothing was measured both in it and in {self.base}, so nothing is said of it."
        where = f" on {'this seed' if self.seeds == 1 else f'these {self.seeds} seeds'}"
        parts = [
            f"Worse{where if self.seeds < SEEDS_NEEDED else ''}: "
            f"{_listed(row.told() for row in self.of(Verdict.AGAINST))}.",
            "Not distinguishable, and worse at most: "
            f"{_listed(row.at_worst() for row in self.of(Verdict.OPEN))}.",
            f"Better: {_listed(row.skill.name for row in self.of(Verdict.FOR))}.",
        ]
        unknown = self.of(Verdict.NOT_RUN, Verdict.UNMEASURED)
        if unknown:
            parts.append(f"Nothing is said of {_listed(row.skill.name for row in unknown)}.")
        return " ".join(parts)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
