"""Finds an arm's best temperature and guidance on one split, then samples the arm there in full."""

from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.agreement import check_tokens_of
from oarpipe.base.files import Receipt, Stage, checked, read_json, write_json
from oarpipe.base.log import log, progress
from oarpipe.base.shards import Shard
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.config.samples import SamplesConfig, SearchConfig
from oarpipe.stages.generate import fill_store, load_generator

if TYPE_CHECKING:
    from oarpipe.decoding.generation import Generator


def search(
    recipe: Recipe[SearchConfig],
    *,
    arm: Path,
    model: Path,
    tokenizer: Path,
    orders: list[Path] | None = None,
    dataset: Path,
    features: Path,
    out: Path,
) -> None:
    """Measures every cell of the grid for one arm (its samples recipe), and keeps the nearest."""
    arm_recipe: Recipe[SamplesConfig] = read_recipe(arm, "samples")
    receipts = {
        "model": checked(model, "models"),
        "tokenizer": checked(tokenizer, "tokenizers"),
        "dataset": checked(dataset, "datasets"),
        "features": checked(features, "features"),
    }
    tables = [checked(path, "orders") for path in orders or []]
    check_tokens_of(receipts["model"], tables)
    stage = Stage(recipe, out, inputs={**receipts, "orders": tables}, also={"arm": arm_recipe.meaning()})
    if stage.is_done():
        return

    from oarpipe.data.sharded import publish

    generator = load_generator(arm_recipe, receipts["model"], receipts["tokenizer"], tables)
    metric, cells = _measure_grid(stage, generator, arm_recipe.name, receipts)
    best = min(cells, key=lambda cell: cell["value"])
    log.info(
        "%s: best at temperature %g, guidance %g", arm_recipe.name, best["temperature"], best["guidance"]
    )
    chosen = generator.at(best["temperature"], best["guidance"])
    fill_store(chosen, stage, Shard(1, 1), f"searches/{recipe.name}/{arm_recipe.name}, in full")
    publish(stage.state / "samples.zarr", out / "samples.zarr")
    facts = {
        "arm": arm_recipe.name,
        "split": recipe.entry.split,
        "count": recipe.entry.count,
        "metric": metric,
        "grid": cells,
        "best": best,
    }
    write_json(out / "search.json", facts)
    stage.finish("samples.zarr", "search.json")


def _measure_grid(
    stage: Stage, generator: "Generator", arm: str, receipts: dict[str, Receipt]
) -> tuple[str, list[dict[str, float]]]:
    """The metric and its value in every cell; cells measured before a kill are not measured again."""
    from oarpipe.data.images import open_images
    from oarpipe.metrics.extractors import load_extractor, metric_name
    from oarpipe.metrics.features import measure
    from oarpipe.metrics.fidelity import frechet_distance

    entry: SearchConfig = stage.recipe.entry
    extractor = load_extractor(receipts["features"])
    source = open_images(receipts["dataset"])
    wanted = source.index.rows(entry.split)
    reference = measure(extractor, [source.load(wanted)])
    cells = [{"temperature": t, "guidance": g} for t in entry.temperatures for g in entry.guidances]
    for i, cell in enumerate(progress(cells, f"searches/{stage.recipe.name}/{arm}", unit="cell")):
        file = stage.state / f"cell-{i}.json"
        if not file.is_file():
            drawn = generator.at(**cell).blocks(range(entry.count))
            found = measure(extractor, (block.images for block in drawn))
            write_json(file, frechet_distance(found, reference))
        cell["value"] = float(read_json(file))
    return metric_name("fd", extractor.name, extractor.kind), cells
