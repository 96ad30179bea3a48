"""Which skills of an any-order model its tunings left: each measured before and after, model by model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oarpipe.reports.arms import RANDOM, Arm, Tuning, ancestors, read_tuning, source_name
from oarpipe.reports.claims import PLAIN, number
from oarpipe.reports.intervals import Series, difference
from oarpipe.reports.leaks import leak_note
from oarpipe.reports.likelihoods import Measured, accuracy_series
from oarpipe.reports.results import Results
from oarpipe.reports.skills import CLASSES, DRAWN, HOLES, ORDERS, ModelHealth, Skill, SkillRow
from oarpipe.reports.tables import Cell, value_cell


@dataclass(frozen=True)
class Health:
    """All models, and what was measured of any of them; of some orders `note` says that they leak."""

    models: Sequence[ModelHealth]
    skills: Sequence[Skill]
    note: str


def health(results: Results, likelihoods: Measured) -> Health | None:
    """Every model's skills, the arms' models first; None where no likelihood was measured."""
    if not likelihoods:
        return None
    recipes, accuracies = results.recipes("models"), accuracy_series(results)
    skills = _skills(results, likelihoods, accuracies)

    def measured(model: str, skill: Skill) -> Series | None:
        return (accuracies if skill.group == CLASSES else likelihoods).get((model, skill.key))

    models = []
    for model in dict.fromkeys([arm.model for arm in results.arms] + [model for model, _ in likelihoods]):
        base = [model, *ancestors(model, recipes)][-1]
        tuning = read_tuning(model, recipes, results.recipes("orders"))
        rows = []
        for skill in skills:
            if skill.group == DRAWN:
                before, after = _distances(results, base, model)
            else:
                before, after = measured(base, skill), measured(model, skill)
            found = difference(after, before) if before and after and model != base else None
            cells = [
                _cell(skill, series, _spread(results, one, skill))
                for one, series in ((base, before), (model, after))
            ]
            rows.append(SkillRow(skill, cells[0], cells[1], found, _tuned_on(results, skill, tuning)))
        models.append(ModelHealth(model, tuning, None if model == base else base, rows, len(results.seeds)))
    leaking = {name for content in results.information.values() for name in content["leaking"]}
    return Health(models, skills, leak_note([skill.key for skill in skills if skill.key in leaking]))


def _skills(results: Results, likelihoods: Measured, accuracies: Measured) -> list[Skill]:
    """Orders and holes, as the information recipe calls them, images drawn, and classes."""
    holes = {name for recipe in results.recipes("information").values() for name in recipe["holes"]}
    walked = dict.fromkeys(name for _, name in likelihoods)
    skills = [Skill(ORDERS, name, name, note=_draws(results, name)) for name in walked if name not in holes]
    skills += [Skill(HOLES, name, name) for name in walked if name in holes]
    if any(arm.draws_at_random for arm in results.arms):
        skills.append(Skill(DRAWN, RANDOM, f"{results.distance} in random order", unit=""))
    for count in sorted({count for _, count in accuracies}, key=int):
        over = "one random order" if count == "1" else f"{count} random orders"
        name, note = f"class over {over}", _asked(results, count)
        skills.append(Skill(CLASSES, count, name, unit="points", note=note))
    return skills


def _asked(results: Results, count: str) -> str:
    """How many images were classified, and of how many classes, if not of all."""
    classified = next(
        one["classification"] for one in results.information.values() if "classification" in one
    )
    images = len(next(iter(classified.values()))[count]["per_sample"])
    config = next(iter(results.recipes("information").values()))["classification"]
    kept = config["shortlist"] if int(count) > 1 else None
    return f"{images:,} images" + (f"; after the first order, its {kept} likeliest classes" if kept else "")


def _source(results: Results, name: str) -> Mapping[str, Any] | None:
    """The order source that the information recipe calls so."""
    recipes = results.recipes("information").values()
    return next((recipe["orders"][name] for recipe in recipes if name in recipe["orders"]), None)


def _draws(results: Results, name: str) -> str:
    """Of random orders, how many an image walks in."""
    source = _source(results, name)
    if source is None or source["kind"] != RANDOM:
        return ""
    draws = max(content["draws"] for content in results.information.values())
    return f"{draws} an image, which no training saw" if draws > 1 else "which no training saw"


def _tuned_on(results: Results, skill: Skill, tuning: Tuning) -> str:
    """Says so where the model was tuned on the very orders."""
    source = _source(results, skill.key) if skill.group == ORDERS else None
    if source is None or source["kind"] == RANDOM:
        return ""
    return "tuned on these" if source_name(source, results.recipes("orders")) == tuning.on else ""


def _spread(results: Results, model: str, skill: Skill) -> float | None:
    """Between an image's random orders, nats a token; the mean over seeds."""
    if skill.group != ORDERS:
        return None
    walked = [content["models"].get(model, {}).get(skill.key, {}) for content in results.information.values()]
    spreads = [one["spread"] for one in walked if "spread" in one]
    return float(np.mean(spreads)) if spreads else None


def _cell(skill: Skill, series: Series | None, between_orders: float | None) -> Cell:
    if not series:
        return Cell()
    cell = value_cell(series, skill.digits)
    if between_orders is None:
        return cell
    return replace(cell, detail=f"{cell.detail}; {number(between_orders, skill.digits)} between orders")


def _distances(results: Results, base: str, model: str) -> tuple[Series | None, Series | None]:
    """Of images drawn in random order by both, all else alike; if there are none, of the model's alone."""
    recipes = results.recipes("samples")

    def drawn(model: str) -> list[Arm]:
        return [arm for arm in results.arms if arm.model == model and arm.draws_at_random]

    def series(arm: Arm) -> Series:
        return results.series(arm.name, PLAIN, results.distance)

    for own in drawn(model):
        for theirs in drawn(base):
            if {**recipes[own.name], "model": base} == {**recipes[theirs.name], "model": base}:
                return series(theirs), series(own)
    return None, next(map(series, drawn(model)), None)
