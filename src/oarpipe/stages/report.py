"""Writes the page about a book: one self-contained HTML file over all seeds."""

from pathlib import Path

from oarpipe.base.files import write_text
from oarpipe.base.log import log
from oarpipe.base.receipts import Stage, checked
from oarpipe.config.outputs import ReportConfig
from oarpipe.config.recipe import Recipe

# A page that cannot be mailed is not self-contained in any useful sense.
LARGEST = 10_000_000


def report(
    recipe: Recipe[ReportConfig],
    *,
    datasets: list[Path],
    features: list[Path],
    tokenizers: list[Path],
    tokens: list[Path],
    models: list[Path],
    orders: list[Path] | None = None,
    order_heads: list[Path] | None = None,
    samples: list[Path],
    searches: list[Path] | None = None,
    evaluation: list[Path],
    information: list[Path] | None = None,
    benchmark: list[Path] | None = None,
    out: Path,
) -> None:
    """Writes `report.html`; every list holds the results of all names and seeds that the page speaks of."""
    given = {
        "datasets": datasets,
        "features": features,
        "tokenizers": tokenizers,
        "tokens": tokens,
        "models": models,
        "orders": orders,
        "order_heads": order_heads,
        "samples": samples,
        "searches": searches,
        "evaluations": evaluation,
        "information": information,
        "benchmarks": benchmark,
    }
    receipts = {table: [checked(path, table) for path in paths or []] for table, paths in given.items()}
    stage = Stage(recipe, out, inputs=receipts)
    if stage.is_done():
        return
    from oarpipe.reports.pages import render

    page = render(recipe.entry, receipts)
    if len(page.encode()) > LARGEST:
        log.warning(
            "%s: %.1f MB; fewer `images` or `playbacks` in reports.%s make it smaller",
            out / "report.html",
            len(page.encode()) / 1e6,
            recipe.name,
        )
    write_text(out / "report.html", page)
    stage.finish("report.html")
