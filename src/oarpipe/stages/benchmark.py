"""Measures how fast this machine extracts, generates and trains, each beside its floor."""

from pathlib import Path

from oarpipe.base.files import write_json, write_text
from oarpipe.base.receipts import Stage
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.recipe import Recipe

FACTS, PAGE = "benchmark.json", "benchmark.md"


def benchmark(recipe: Recipe[BenchmarkConfig] | None = None, *, out: Path | None = None) -> None:
    """Writes `benchmark.json` and `benchmark.md` into the folder `out`, with a receipt if there is a recipe.

    Without a recipe it measures a default entry's sizes, in about ten minutes on two cores. An `out` that
    ends in .md or .json is that one file; without any, the page is printed.
    """
    if recipe is not None and out is not None and not out.suffix:
        stage = Stage(recipe, out)
        if not stage.is_done():
            _measure(recipe.entry, out)
            stage.finish(FACTS, PAGE)
        return
    _measure(BenchmarkConfig() if recipe is None else recipe.entry, out)


def _measure(entry: BenchmarkConfig, out: Path | None) -> None:
    from oarpipe.benchmarks.page import page
    from oarpipe.benchmarks.run import figures

    facts = figures(entry)
    if out is None:
        print(page(facts))
    elif out.suffix == ".md":
        write_text(out, page(facts))
    elif out.suffix == ".json":
        write_json(out, facts)
    else:
        write_json(out / FACTS, facts)
        write_text(out / PAGE, page(facts))
