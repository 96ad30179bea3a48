"""Charts as SVG that belongs to the page: its fonts, its text colour, no reference to anywhere else."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Placeholders in the drawing for what the page's theme decides.
_TEXT, _RULE = "#010203", "#040506"
_MARKERS = "osD^vP*Xph"
_TICKS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "oarpipe",
    "text.parse_math": False,  # names are the user's: a dollar sign is a dollar sign
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _RULE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": _RULE,
    "grid.linewidth": 0.6,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _TEXT,
    "ytick.labelcolor": _TEXT,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@dataclass(frozen=True)
class Line:
    """One curve: its points, name and looks; `dash` is a matplotlib line style."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = "-"
    marker: str = ""


@dataclass(frozen=True)
class Dot:
    """One row of a dot chart: an estimate, its interval, whether the dot is hollow, words to hover over."""

    row: int
    value: float
    low: float
    high: float
    colour: str
    hollow: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Point:
    """One named point of a scatter chart, and the interval of its height."""

    label: str
    x: float
    y: float
    low: float
    high: float
    colour: str


def curves(
    lines: Sequence[Line], *, x: str, y: str, alt: str, size: tuple[float, float] = (6.4, 3.4)
) -> Markup:
    """Curves with a legend below; each tells its name to who points at it."""
    hints = {f"line-{i}": _hint(line.label) for i, line in enumerate(lines)}
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure(size)
        for gid, line in zip(hints, lines, strict=True):
            drawn = axes.plot(
                line.x, line.y, line.dash, color=line.colour, label=line.label, linewidth=1.6, gid=gid
            )
            drawn[0].set_marker(line.marker or "None")
            drawn[0].set_markersize(3.5)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(lines) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2, fontsize=9, borderaxespad=0)
        return _svg(figure, alt, hints)


def dots(
    names: Mapping[str, str], rows: Sequence[Dot], *, x: str, alt: str, floor: float | None = None
) -> Markup:
    """A dot and its interval on each row, top to bottom; `names` are the rows' by the arm that each is of.

    `floor` is a line across all rows.
    """
    arms = list(names)
    marks = {}
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((8.6, 0.34 * len(names) + 0.9))
        for i, dot in enumerate(rows):
            face = "white" if dot.hollow else dot.colour
            style: dict[str, Any] = {"color": dot.colour, "gid": f"dot-{i}"}
            axes.plot([dot.low, dot.high], [dot.row, dot.row], linewidth=2, alpha=0.55, **style)
            axes.plot(dot.value, dot.row, "o", markerfacecolor=face, markersize=6.5, **style)
            marks[f"dot-{i}"] = _hint(dot.hint, arms[dot.row])
        if floor is not None:
            axes.axvline(floor, color=_TEXT, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(names)), list(names.values()))
        for arm, label in zip(arms, axes.get_yticklabels(), strict=True):
            label.set_gid(f"name-{arm}")
            marks[f"name-{arm}"] = _hint("", arm)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x)
        return _svg(figure, alt, marks)


def scatter(points: Sequence[Point], *, x: str, y: str, alt: str) -> Markup:
    """Named points with the interval of their height, over a logarithmic axis; the legend is below."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((8.6, 3.8))
        for i, point in enumerate(points):
            axes.plot([point.x] * 2, [point.low, point.high], color=point.colour, linewidth=2, alpha=0.55)
            axes.plot(
                point.x, point.y, _MARKERS[i % len(_MARKERS)], color=point.colour, markersize=7,
                label=point.label, linestyle="none",
            )  # fmt: skip
        axes.set_xscale("log")
        ticks = [tick for tick in _TICKS if _is_near(tick, points)]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.18), ncols=2, fontsize=9, borderaxespad=0)
        return _svg(figure, alt)


def _is_near(tick: float, points: Sequence[Point]) -> bool:
    """Whether a tick belongs on an axis of these points."""
    every = [point.x for point in points]
    return min(every) / 1.3 <= tick <= max(every) * 1.3


def histogram(
    groups: Mapping[str, tuple[np.ndarray, str]], marks: Mapping[str, float], *, x: str, alt: str
) -> Markup:
    """Shares of each group's values in common bins; `marks` are named vertical lines."""
    every = np.concatenate([values for values, _ in groups.values()])
    bins = np.linspace(min([every.min(), *marks.values()]), max([every.max(), *marks.values()]) + 1e-6, 41)
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((6.4, 3.2))
        for label, (values, colour) in groups.items():
            weights = np.full(len(values), 100 / len(values))
            axes.hist(values, bins.tolist(), weights=weights, color=colour, alpha=0.75, label=label)
        for label, value in marks.items():
            axes.axvline(value, color=_TEXT, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                label, (value, 1), (3, -2), xycoords=("data", "axes fraction"), textcoords="offset points",
                va="top", fontsize=9,
            )  # fmt: skip
        axes.set_xlabel(x)
        axes.set_ylabel("images, %")
        if len(groups) > 1:
            axes.legend(loc="upper center", fontsize=9)
        return _svg(figure, alt)


def band(groups: Mapping[str, tuple[np.ndarray, str]], *, x: str, y: str, alt: str) -> Markup:
    """The mean over rows of each group's `[rows, steps]`, and the band of the middle 80 % of rows."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((6.4, 3.2))
        for label, (values, colour) in groups.items():
            steps = np.arange(1, values.shape[1] + 1)
            low, high = np.percentile(values, [10, 90], axis=0)
            axes.fill_between(steps, low, high, color=colour, alpha=0.22, linewidth=0)
            axes.plot(steps, values.mean(axis=0), color=colour, linewidth=1.8, label=label)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_xlim(1, max(values.shape[1] for values, _ in groups.values()))
        if len(groups) > 1:
            axes.legend(fontsize=9)
        return _svg(figure, alt)


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size)
    return figure, figure.add_subplot()


def _hint(words: str, arm: str = "") -> str:
    """How a group of the drawing opens: the arm that it is of, and words to hover over."""
    opening = f'<g data-arm="{escape(arm)}">' if arm else "<g>"
    return opening + (f"<title>{escape(words)}</title>" if words else "")


def _svg(figure: Figure, alt: str, groups: Mapping[str, str] | None = None) -> Markup:
    """The drawing as an element of the page; what only a file of its own needs is left out.

    `groups` says how a group opens, by the id that its artist was given.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)[ >].*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'<g id="([^"]*)">', lambda found: (groups or {}).get(found[1], "<g>"), text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    text = re.sub(r"\s+", " ", text)
    text = text.replace(_TEXT, "currentColor").replace(_RULE, "var(--rule)")
    text = text.replace("fill: #ffffff", "fill: var(--page)")
    head, _, body = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    width = float(head.split('viewBox="0 0 ')[1].split()[0]) * 96 / 72
    return Markup(f'{head} role="img" aria-label="{escape(alt)}" style="max-width: {width:.0f}px">{body}')
