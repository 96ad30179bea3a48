"""Finds an arm's best temperature and guidance on one split, then samples the arm there in full."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.agreement import check_tokenizer_of, check_tokens_of, checked_head
from oarpipe.base.files import read_sealed, write_json, write_sealed
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.base.shards import Shard
from oarpipe.base.stopping import until_stopped
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.config.samples import SamplesConfig, SearchConfig
from oarpipe.stages.features import BATCH
from oarpipe.stages.generate import fill_store, load_generator

if TYPE_CHECKING:
    from oarpipe.decoding.generation import Generator
    from oarpipe.metrics.extractors import Extractor


def search(
    recipe: Recipe[SearchConfig],
    *,
    arm: Path,
    model: Path,
    tokenizer: Path,
    orders: list[Path] | None = None,
    head: Path | None = None,
    dataset: Path,
    features: Path,
    out: Path,
) -> None:
    """Measures every cell of the grid for one arm (its samples recipe), and draws the full set at the best.

    `search.json` tells every cell's distance with its interval, and how far above the best it is.
    """
    arm_recipe: Recipe[SamplesConfig] = read_recipe(arm, "samples")
    receipts = {
        "model": checked(model, "models"),
        "tokenizer": checked(tokenizer, "tokenizers"),
        "dataset": checked(dataset, "datasets"),
        "features": checked(features, "features"),
    }
    tables = [checked(path, "orders") for path in orders or []]
    check_tokenizer_of(receipts["model"], receipts["tokenizer"])
    check_tokens_of(receipts["model"], tables)
    heads = checked_head(arm_recipe.entry.policy, receipts["model"], head)
    stage = Stage(
        recipe,
        out,
        inputs={**receipts, "orders": tables, "head": heads},
        also={"arm": arm_recipe.meaning()},
    )
    if stage.is_done():
        return

    from oarpipe.data.sharded import publish

    generator = load_generator(
        stage,
        arm_recipe,
        receipts["model"],
        receipts["tokenizer"],
        tables,
        heads,
        guided=any(scale != 1.0 for scale in recipe.entry.guidances),
    )
    measured_as, cells = _measure_grid(stage, generator, arm_recipe.name, receipts)
    best = min(cells, key=lambda cell: cell["value"])
    log.info(
        "%s: best at temperature %g, guidance %g", arm_recipe.name, best["temperature"], best["guidance"]
    )
    chosen = generator.at(best["temperature"], best["guidance"])
    fill_store(chosen, stage, Shard(1, 1), f"searches/{recipe.name}/{arm_recipe.name}, in full")
    publish(stage.state / "samples.zarr", out / "samples.zarr")
    facts = {
        "bootstrap": recipe.entry.bootstrap,
        "arm": arm_recipe.name,
        "split": recipe.entry.split,
        "count": recipe.entry.count,
        **measured_as,
        "grid": cells,
        "best": best,
    }
    write_json(out / "search.json", facts)
    stage.finish("samples.zarr", "search.json")


def _measure_grid(
    stage: Stage, generator: "Generator", arm: str, receipts: dict[str, Receipt]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was measured, and every cell with its value and intervals; those of before a kill are kept."""
    from dataclasses import asdict

    from oarpipe.base.identity import Identity
    from oarpipe.data.images import open_images
    from oarpipe.metrics.extractors import load_extractor
    from oarpipe.metrics.measurements import Network

    entry: SearchConfig = stage.recipe.entry
    extractor = load_extractor(receipts["features"])
    settings = [{"temperature": t, "guidance": g} for t in entry.temperatures for g in entry.guidances]
    files = [stage.state / f"cell-{i}.json" for i in range(len(settings))]
    missing = {file: cell for file, cell in zip(files, settings, strict=True) if not file.is_file()}
    if missing:
        what = f"searches/{stage.recipe.name}/{arm}"
        _measure_cells(stage, generator, extractor, receipts["dataset"], missing, what)
    cells = [{**cell, **read_sealed(file)} for cell, file in zip(settings, files, strict=True)]
    dataset = receipts["dataset"]
    count = len(open_images(dataset).index.rows(entry.split))
    measured_as = {
        "metric": extractor.metric("fd"),
        "convention": "fidelity",
        "network": asdict(Network(extractor.name, extractor.kind, extractor.sha256)),
        "reference": asdict(Identity.of_split(dataset.name, dataset.digest, entry.split, count)),
    }
    return measured_as, _with_intervals(cells)


def _measure_cells(
    stage: Stage,
    generator: "Generator",
    extractor: "Extractor",
    dataset: Receipt,
    missing: dict[Path, dict[str, float]],
    what: str,
) -> None:
    """Draws each missing cell's images, and writes their distance and its replicates to the cell's file."""
    from oarpipe.data.images import open_images
    from oarpipe.metrics.bootstrap import FrechetBootstrap
    from oarpipe.metrics.features import measure
    from oarpipe.metrics.fidelity import frechet_distance
    from oarpipe.metrics.statistics import statistics

    entry: SearchConfig = stage.recipe.entry
    source = open_images(dataset)
    rows = source.index.rows(entry.split)
    batches = (source.load(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH))
    reference = statistics(measure(extractor, batches).features)
    bootstrap = FrechetBootstrap(reference, replicates=entry.bootstrap, seed=stage.recipe.seed)
    for file, cell in until_stopped(progress(missing.items(), what, unit="cell")):
        drawn = generator.at(**cell).blocks(range(entry.count))
        found = measure(extractor, (block.images for block in drawn))
        replicates = bootstrap(found.features, f"{what}, {file.stem}")
        write_sealed(file, {"value": frechet_distance(found, reference), "replicates": replicates})


def _with_intervals(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each cell with intervals, instead of its replicates: of its value, and of its distance from the best.

    The latter is paired: all cells show the same classes, drawn with the same noise and resampled alike.
    """
    from oarpipe.metrics.percentiles import interval

    best = min(cells, key=lambda cell: cell["value"])
    told = []
    for cell in cells:
        value, replicates = cell["value"], cell["replicates"]
        low, high, gap = None, None, None
        if replicates:
            low, high = interval(replicates, estimate=value)
            gaps = [a - b for a, b in zip(replicates, best["replicates"], strict=True)]
            gap = list(interval(gaps, estimate=value - best["value"]))
        whole = {"temperature": cell["temperature"], "guidance": cell["guidance"], "value": value}
        told.append({**whole, "low": low, "high": high, "above_best": gap})
    return told
