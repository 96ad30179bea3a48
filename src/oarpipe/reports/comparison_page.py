"""The page on two runs, set by its template in the look of the report."""

from oarpipe.base.templating import templates
from oarpipe.reports.claims import number, signed, span
from oarpipe.reports.comparison import TwoRuns
from oarpipe.reports.comparison_entries import shown
from oarpipe.reports.provenance import duration
from oarpipe.reports.strips import Strips


def comparison_page(runs: TwoRuns) -> str:
    """The page as HTML that asks nothing of the network."""
    environment = templates("reports")
    environment.filters.update(number=number, signed=signed, span=span, shown=shown, duration=duration)
    strips = Strips(runs.rows)
    return environment.get_template("comparison.html.j2").render(runs=runs, strips=strips)
