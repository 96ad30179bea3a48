"""Whether the untuned, published model reaches its published number here: the first sentence of a report.

Where it does not, images, weights, sampling or measuring differ from those of the publication, and
what the page says of tuned models may come from there.
"""

from dataclasses import dataclass

from oarpipe.config.outputs import PublishedConfig
from oarpipe.errors import BadInput
from oarpipe.reports.claims import PLAIN, number
from oarpipe.reports.intervals import Series, spread
from oarpipe.reports.results import Results
from oarpipe.reports.tables import METRICS


@dataclass(frozen=True)
class Reached:
    """The sentence; whether the number was reached; and if not, what that means for the page."""

    sentence: str
    holds: bool
    warning: str = ""


def reached(results: Results, published: PublishedConfig) -> Reached:
    """Compares with the published number; the mean over seeds decides, by the tolerance asked for."""
    search, _, name = published.samples.rpartition("/")
    series = results.series(name, search or PLAIN, published.metric)
    if not series:
        raise BadInput(
            f"published: no {published.metric} of {published.samples} was measured; expected one of "
            f"{', '.join(_metrics(results, name, search or PLAIN)) or 'the sample sets of the evaluation'}"
        )
    digits = max(2, len(repr(published.value).partition(".")[2]))
    mean = spread(series)[0]
    heading, direction = METRICS.get(published.metric.partition("[")[0], (published.metric, 0))
    metric = published.metric if "[" in published.metric else heading
    told = f"published {metric} of {number(published.value, digits)} ({published.source})"
    model = results.recipes("samples")[name]["model"]
    difference = mean - published.value
    band = number(published.tolerance, digits)
    if abs(difference) <= published.tolerance:
        return Reached(f"{model} reaches its {told}: {_measured(series, digits)}.", holds=True)
    if direction * difference > 0:
        sentence = f"{model} is better than its {told} by more than {band}: {_measured(series, digits)}."
    else:
        sentence = f"{model} does not reach its {told} within {band}: {_measured(series, digits)}."
    return Reached(sentence, holds=False, warning=WARNING)


WARNING = (
    "Differences below may be due to the evaluation: until the published number is reached, compare the "
    "numbers of this page among themselves only."
)


def _measured(series: Series, digits: int) -> str:
    """`2.29 here, in [2.25, 2.33]`, or over seeds `2.29 ± 0.02 here, over 3 seeds`."""
    mean, deviation, interval = spread(series)
    value = number(mean, digits)
    if deviation is not None:
        return f"{value} ± {number(deviation, digits)} here, over {len(series)} seeds"
    if interval is None:
        return f"{value} here"
    return f"{value} here, in [{number(interval.low, digits)}, {number(interval.high, digits)}]"


def _metrics(results: Results, name: str, setting: str) -> list[str]:
    measured = results.measured(name, setting)
    return list(next(iter(measured.values()))["metrics"]) if measured else []
