"""Finds an arm's best temperature and guidance on one split, then samples the arm there in full."""

from pathlib import Path
from typing import Any

from oarpipe.base.agreement import check_tokens_of
from oarpipe.base.files import Receipt, Stage, checked, read_json, write_json
from oarpipe.base.log import log, progress
from oarpipe.config.recipe import Recipe, read_recipe
from oarpipe.config.samples import SamplesConfig, SearchConfig


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

    metric, cells = _measure_grid(stage, arm_recipe, receipts, tables)
    best = min(cells, key=lambda cell: cell["value"])
    log.info(
        "%s: best at temperature %g, guidance %g", arm_recipe.name, best["temperature"], best["guidance"]
    )
    chosen = arm_recipe.entry.model_copy(update=_setting(arm_recipe.entry, best))
    _fill_store(stage, chosen, arm_recipe, receipts, tables)
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
    stage: Stage, arm: Recipe[SamplesConfig], receipts: dict[str, Receipt], tables: list[Receipt]
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
    for i, cell in enumerate(progress(cells, f"searches/{stage.recipe.name}/{arm.name}", unit="cell")):
        file = stage.state / f"cell-{i}.json"
        if not file.is_file():
            config = arm.entry.model_copy(update=_setting(arm.entry, cell))
            drawn = _generator(config, arm, receipts, tables).blocks(range(entry.count))
            found = measure(extractor, (block.images for block in drawn))
            write_json(file, frechet_distance(found, reference))
        cell["value"] = float(read_json(file))
    return metric_name("fd", extractor.name, extractor.kind), cells


def _fill_store(
    stage: Stage,
    config: SamplesConfig,
    arm: Recipe[SamplesConfig],
    receipts: dict[str, Receipt],
    tables: list[Receipt],
) -> None:
    """The arm's full set at its best setting."""
    from oarpipe.data.sample_store import SampleStore
    from oarpipe.data.sharded import publish, unpublished
    from oarpipe.decoding.generation import joined

    generator = _generator(config, arm, receipts, tables)
    filled, published = stage.state / "samples.zarr", stage.out / "samples.zarr"
    store = SampleStore.create(
        unpublished(filled, published),
        count=config.count,
        resolution=generator.resolution,
        grid=generator.model.grid,
        shard=config.shard,
    )
    for i in store.missing():
        store.write_shard(i, **joined(list(generator.blocks(store.range_of(i)))))
    publish(filled, published)


def _generator(
    config: SamplesConfig, arm: Recipe[SamplesConfig], receipts: dict[str, Receipt], tables: list[Receipt]
) -> Any:
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import OrderTable
    from oarpipe.decoding.generation import Generator
    from oarpipe.models import load_model
    from oarpipe.tokenizers import load_tokenizer

    device = pick_device()
    written = {table.name: OrderTable.read(table.folder / "orders.parquet") for table in tables}
    network = load_model(receipts["model"].folder, device)
    images = load_tokenizer(receipts["tokenizer"].folder).to(device)
    return Generator(network, images, config, arm.seed, written)


def _setting(entry: SamplesConfig, cell: dict[str, float]) -> dict[str, Any]:
    guidance = entry.guidance.model_copy(update={"scale": cell["guidance"]})
    return {"temperature": cell["temperature"], "guidance": guidance}
