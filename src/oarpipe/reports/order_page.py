"""The page on orders: maps, curves along the walk, agreement and V-information, set by its template."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from oarpipe.base.grid import Grid
from oarpipe.base.templating import templates
from oarpipe.reports.arms import OTHER_COLOURS
from oarpipe.reports.figures import Line, curves
from oarpipe.reports.gallery import Sheet, shade, sheet, step_colours
from oarpipe.reports.leaks import leak_note
from oarpipe.reports.order_facts import MEASURES, Facts

CLASSES_SHOWN = 20
_SIDE = 48
_COLOURS = ("#1f5c99", *OTHER_COLOURS, "#8c4a9e")
_RANDOM = "#8a8f99"


def order_page(facts: Facts) -> str:
    """The page as HTML that asks nothing of the network; `facts` are what `oarpipe orders --json` tells."""
    sets = facts["sets"]
    return (
        templates("reports")
        .get_template("orders.html.j2")
        .render(
            facts=facts,
            sets=sets,
            rows=measured_rows(sets),
            maps=[set_maps(one) for one in sets],
            charts=charts(sets),
            note=leak_note(leaking(facts)),
        )
    )


def leaking(facts: Facts) -> list[str]:
    """The sets, and the orders that V-information is told of, whose extraction looked at the truth."""
    sets = [one["name"] for one in facts["sets"] if one["leaks"]]
    return sets + [f"the V-information of {one['order']}" for one in facts["information"] if one["leaks"]]


def measured_rows(sets: Sequence[Facts]) -> list[tuple[str, list[tuple[float, float] | None]]]:
    """A row a measure that some set has: its words, and for each set the value and that of random orders."""
    rows = [(words, [_cell(one.get(key)) for one in sets]) for key, words in MEASURES.items()]
    return [(words, cells) for words, cells in rows if any(cells)]


def _cell(measure: Facts | None) -> tuple[float, float] | None:
    """None also where there is no number, such as the agreement of two classes where there is one."""
    if measure is None or math.isnan(measure["value"]):
        return None
    return measure["value"], measure["random"]


@dataclass(frozen=True)
class SetMaps:
    """A set's pictures, one class a column; `tau` is the classes' agreement, a row and a column each."""

    name: str
    classes: Sequence[str]
    orders: Sheet
    firsts: Sheet
    tau: Sequence[Sequence[float]]
    count: int


def set_maps(one: Facts) -> SetMaps:
    """Of at most twenty classes, evenly chosen."""
    count = len(one["classes"])
    shown = np.unique(np.linspace(0, count - 1, min(CLASSES_SHOWN, count)).astype(int))
    grid = Grid.parse(one["grid"])
    names = [one["classes"][i] for i in shown]
    firsts = np.array(one["first_places"])[shown].reshape(-1, grid.height, grid.width)
    heads = ", ".join(names)
    means = step_colours(np.array(one["mean_steps"])[shown], grid)
    return SetMaps(
        one["name"],
        names,
        sheet(means, len(shown), _SIDE, f"Mean order of each class as a map: {heads}. Yellow first."),
        sheet(
            shade(0.1 + 0.9 * firsts, "Greys"),
            len(shown),
            _SIDE,
            f"Where the walks of each class begin: {heads}. Dark is often.",
        ),
        np.array(one["class_tau"])[np.ix_(shown, shown)].tolist(),
        one["images"],
    )


@dataclass(frozen=True)
class Chart:
    """A drawing and what it shows."""

    drawing: Markup
    caption: str


def charts(sets: Sequence[Facts]) -> list[Chart]:
    """Every measure that has a value a step, a line a set, and in gray what random orders come to."""
    drawn = [
        _by_step(sets, "d", "distance to the next place, in cells", "How far the walk jumps, step by step."),
        _by_step(
            sets,
            "entropy",
            "entropy of the place filled",
            "How much images differ in the place they fill at a step: 0 where all fill the same, 1 where any "
            "place is as frequent as any other.",
        ),
        _by_step(
            sets,
            "touch",
            "share of images",
            "Steps whose place touches one that is filled, of eight around it.",
        ),
        _by_step(
            sets,
            "background",
            "share of the places so far",
            "How much of what is filled so far is background; random orders are at the images' own share.",
        ),
        _recognition(sets),
    ]
    return [chart for chart in drawn if chart is not None]


def _by_step(sets: Sequence[Facts], key: str, y: str, caption: str) -> Chart | None:
    """A line a set; random orders are one more in gray, or where sets differ in them one each, dashed."""
    measured = [one for one in sets if one.get(key)]
    if not measured:
        return None
    colours = _colours(sets)
    lines = [
        Line(one["name"], _steps(one[key]["by_step"]), one[key]["by_step"], colours[one["name"]])
        for one in measured
    ]
    expected = {one["name"]: _at_random(one[key]) for one in measured}
    if len(set(map(tuple, expected.values()))) == 1:
        expected = {"": next(iter(expected.values()))}
    for name, values in expected.items():
        words = f"{name}, at random" if name else "random orders"
        lines.append(Line(words, _steps(values), values, colours.get(name, _RANDOM), "--"))
    return Chart(curves(lines, x="step", y=y, alt=f"{caption} The means are in the table."), caption)


def _at_random(measure: Facts) -> list[float]:
    """What random orders come to at every step."""
    given: list[float] = measure.get("random_by_step") or [measure["random"]] * len(measure["by_step"])
    return given


def _steps(values: Sequence[float]) -> list[float]:
    return [float(step) for step in range(1, len(values) + 1)]


def _recognition(sets: Sequence[Facts]) -> Chart | None:
    lines = []
    for one in sets:
        if one.get("recognition"):
            found, colour = one["recognition"], _colours(sets)[one["name"]]
            lines.append(Line(one["name"], found["shares"], found["confidence"], colour))
            words = f"{one['name']}, its codes at random"
            lines.append(Line(words, found["shares"], found["random_confidence"], colour, dash="--"))
    if not lines:
        return None
    caption = (
        "How sure the classifier is of the true class along the walk. Open places hold the set's "
        "commonest code."
    )
    drawing = curves(
        lines, x="share of places filled", y="confidence", alt=f"{caption} Areas are in the table."
    )
    return Chart(drawing, caption)


def _colours(sets: Sequence[Facts]) -> Mapping[str, str]:
    return {one["name"]: _COLOURS[i % len(_COLOURS)] for i, one in enumerate(sets)}
