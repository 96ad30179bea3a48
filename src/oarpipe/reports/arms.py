"""What an arm of the experiment is, read off its recipes: tuned on what, annealed how, sampled how.

These are the row names of the paper's Table 1; claims, tables and colours all refer to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Recipes = Mapping[str, Mapping[str, Any]]

NOTHING, RANDOM, GREEDY, PERMUTATION, CLASS_MEAN = "nothing", "random", "greedy", "permutation", "class mean"

# How an order is called in a sentence; any other word is its own name.
PHRASES = {PERMUTATION: "one fixed permutation", CLASS_MEAN: "one order a class"}
# Mid-tones that keep 3:1 contrast on white and on near-black alike.
COLOURS = {
    NOTHING: "#7d8087",
    RANDOM: "#2b83c6",
    GREEDY: "#9c5fd1",
    "raster": "#c9701f",
    PERMUTATION: "#2f9a66",
    CLASS_MEAN: "#d0508a",
}
OTHER_COLOURS = ("#8a7a2e", "#1f9aa0", "#b5564d", "#6f7fd0")
_PLACES = [NOTHING, "raster", GREEDY, RANDOM, PERMUTATION, CLASS_MEAN]
_SAMPLED_PLACES = ["raster", GREEDY, RANDOM]


@dataclass(frozen=True)
class Tuning:
    """What a model was tuned on, and how long. `annealed` is None where the question does not arise;
    `tells_steps` where another model of the page differs in them alone.
    """

    on: str
    annealed: bool | None = None
    floor: float = 0.0
    steps: int = 0
    tells_steps: bool = False

    @property
    def annealing(self) -> str:
        """The table's cell: `–`, `no`, `yes`, or `yes, floor 0.3`; then the steps if they are told."""
        floor = f", floor {self.floor:g}" if self.floor else ""
        return {None: "–", False: "no", True: f"yes{floor}"}[self.annealed] + self.told_steps

    @property
    def told_steps(self) -> str:
        """`, 5,000 steps` where that tells it apart."""
        return f", {self.steps:,} steps" if self.tells_steps else ""

    @property
    def phrase(self) -> str:
        """For a sentence: `tuned on greedy orders, annealed`."""
        if self.on == NOTHING:
            return "not tuned"
        what = PHRASES.get(self.on, f"{self.on} orders")
        how = {None: "", False: ", not annealed", True: ", annealed"}[self.annealed]
        floor = f" to a floor of {self.floor:g}" if self.annealed and self.floor else ""
        return f"tuned on {what}{how}{floor}{self.told_steps}"


@dataclass(frozen=True)
class Arm:
    """One row of the table: a sample set's name, its model, the any-order base of that, what both mean."""

    name: str
    model: str
    base: str
    tuning: Tuning
    sampled_in: str

    @property
    def phrase(self) -> str:
        """For a sentence: `tuned on greedy orders, annealed, sampled greedily`."""
        ways = {GREEDY: "greedily", RANDOM: "in random order", "raster": "in raster order"}
        way = ways.get(self.sampled_in, f"in {PHRASES.get(self.sampled_in, self.sampled_in)}")
        if self.sampled_in == self.tuning.on and self.sampled_in in PHRASES:
            way = "in that order"
        return f"{self.tuning.phrase}, sampled {way}"

    @property
    def draws_at_random(self) -> bool:
        """Whether its places are filled in random orders, one or several a step."""
        return self.sampled_in.partition(",")[0] == RANDOM

    @property
    def short(self) -> str:
        """For a chart: `greedy, annealed → random`."""
        tuning = self.tuning
        how = {None: "", False: ", not annealed", True: ", annealed"}[tuning.annealed]
        floor = f" to {tuning.floor:g}" if tuning.annealed and tuning.floor else ""
        return f"{tuning.on}{how}{floor}{tuning.told_steps} → {self.sampled_in}"

    @property
    def place(self) -> tuple[int, str, float, int, str]:
        """Sorts rows as the paper does: untuned first, then by what was tuned on, annealing, sampling."""
        tuning = self.tuning
        how = -1.0 if tuning.annealed is None else 0.0 if not tuning.annealed else 1.0 + tuning.floor
        sampled = _SAMPLED_PLACES.index(self.sampled_in) if self.sampled_in in _SAMPLED_PLACES else 3
        known = _PLACES.index(tuning.on) if tuning.on in _PLACES else len(_PLACES)
        return known, tuning.on, how, sampled, self.name


def read_arm(name: str, samples: Mapping[str, Any], models: Recipes, orders: Recipes) -> Arm:
    """An arm from its sample recipe and the recipes of the models and orders behind it."""
    tuning = read_tuning(samples["model"], models, orders)
    base = [samples["model"], *ancestors(samples["model"], models)][-1]
    return Arm(name, samples["model"], base, tuning, policy_name(samples["policy"], orders))


def read_tuning(model: str, models: Recipes, orders: Recipes) -> Tuning:
    """What a model was tuned on; one that started from nothing, or was published, was not tuned."""
    recipe = models[model]
    if is_published(recipe):
        return Tuning(NOTHING)
    order = recipe["order"]
    annealed: bool | None = order["kind"] == "anneal"
    target = order["to"] if annealed else order
    on = source_name(target, orders)
    if recipe["init"] is None:
        return Tuning(NOTHING if on == RANDOM else f"{on}, from scratch")
    floor = float(order["floor"]) if annealed else 0.0
    rounds = len(ancestors(model, models))
    later_round = f", round {rounds}" if rounds > 1 else ""
    steps = recipe["train"]["steps"]
    return Tuning(on + later_round, None if on == RANDOM else annealed, floor, steps)


def told_apart(arms: Sequence[Arm]) -> list[Arm]:
    """The arms, each that differs from another in its tuning's steps alone telling them."""

    def manner(arm: Arm) -> tuple[str, str, bool | None, float]:
        return arm.base, arm.tuning.on, arm.tuning.annealed, arm.tuning.floor

    steps: dict[tuple[str, str, bool | None, float], set[int]] = {}
    for arm in arms:
        steps.setdefault(manner(arm), set()).add(arm.tuning.steps)
    return [replace(arm, tuning=replace(arm.tuning, tells_steps=len(steps[manner(arm)]) > 1)) for arm in arms]


def is_published(recipe: Mapping[str, Any]) -> bool:
    """Whether a model was imported and not trained here."""
    return "weights" in recipe


def goes_raster_only(recipe: Mapping[str, Any]) -> bool:
    """Whether a model is the raster baseline, of which no order can be asked."""
    return bool(recipe["kind"] == "llamagen")


def ancestors(model: str, models: Recipes) -> list[str]:
    """The models it started from, nearest first; the last one is the any-order base."""
    found: list[str] = []
    parent = models[model].get("init")
    while parent is not None and parent in models:
        found.append(parent)
        parent = models[parent].get("init")
    return found


def source_name(source: Mapping[str, Any], orders: Recipes) -> str:
    """An order source in one word: `raster`, `random`, `permutation`, `greedy`, `class mean`, ..."""
    match source["kind"]:
        case "rule":
            return PERMUTATION if source["name"] == "fixed_random" else str(source["name"])
        case "table":
            extraction, otherwise = orders[source["orders"]], source.get("otherwise")
            name, count = extraction_name(extraction, orders), extraction.get("count")
            if otherwise is None or count is None:
                return name
            return f"{count:,} images' {name}, else {source_name(otherwise, orders)}"
        case "class_mean":
            name = extraction_name(orders[source["orders"]], orders)
            return CLASS_MEAN if name == GREEDY else f"{CLASS_MEAN} of {name}"
        case "another":
            return f"another image's {extraction_name(orders[source['orders']], orders)}"
        case "permutation":
            return f"one random a {source['per']}"
        case "reversed" | "mirrored":
            return f"{source_name(source['of'], orders)} {source['kind']}"
        case kind:
            return str(kind)


def extraction_name(extraction: Mapping[str, Any], orders: Recipes) -> str:
    """Its policy, and what else its scores are of."""
    told = [policy_name(extraction["policy"], orders)]
    if extraction["temperature"] != 1.0:
        told.append(f"scored at temperature {extraction['temperature']:g}")
    if extraction["guidance"] != 1.0:
        told.append(f"guided by {extraction['guidance']:g}")
    return ", ".join(told)


def policy_name(policy: Mapping[str, Any], orders: Recipes) -> str:
    """A policy in a few words: where it follows a source, that source's name."""
    if policy["select"] == "follow":
        name = source_name(policy["order"], orders)
    else:
        name = _way(policy)
        if policy["score"] != "max_prob":
            name += f" by {policy['score']}"
    per_step = policy.get("per_step", {})
    return f"{name}, {per_step['steps']} steps" if per_step.get("kind") == "cosine" else name


def _way(policy: Mapping[str, Any]) -> str:
    """Which places are asked about, and what besides the score counts."""
    match policy["select"]:
        case "near":
            return f"near λ={policy['strength']:g}"
        case "lazy":
            return f"{GREEDY}, lazy ({policy['least']} + {policy['share']:.0%})"
        case "predicted":
            when = "static" if policy["every"] == "static" else f"every {policy['every']}"
            return f"{GREEDY}, predicted ({policy['candidates']}, {when})"
        case _:
            return GREEDY


def colours(arms: list[Arm]) -> dict[str, str]:
    """One colour for each thing that models were tuned on, the same in every figure of the page."""
    others = sorted({arm.tuning.on for arm in arms} - set(COLOURS))
    return COLOURS | {on: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, on in enumerate(others)}
