"""Measures what models make of held-out images: likelihoods (paper Eqs. 3-5), filled holes, classes."""

from pathlib import Path

from oarpipe.base.agreement import check_tokens
from oarpipe.base.files import read_sealed, write_json, write_sealed
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Stage, checked
from oarpipe.base.stopping import until_stopped
from oarpipe.config.orders import OrderConfig, leaks, read_image_by_image
from oarpipe.config.outputs import InformationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput


def information(
    recipe: Recipe[InformationConfig],
    *,
    models: list[Path],
    tokens: Path,
    orders: list[Path] | None = None,
    out: Path,
) -> None:
    """Writes every model's NLL a token in every order and of every hole, and the classes that it finds.

    Each sample's own numbers are kept, of several random orders their mean. Resumes by models.
    """
    networks = [checked(path, "models") for path in models]
    codes = checked(tokens, "tokens")
    tables = [checked(path, "orders") for path in orders or []]
    check_tokens(codes, [*networks, *tables])
    stage = Stage(recipe, out, inputs={"models": networks, "tokens": codes, "orders": tables})
    if stage.is_done():
        return
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import Orders
    from oarpipe.data.token_store import TokenStore
    from oarpipe.models import load_model
    from oarpipe.training.held_out import classification, likelihood, walks_of

    entry = recipe.entry
    what = f"information/{recipe.name}"
    store = TokenStore.open(codes.folder / "tokens.zarr")
    held_out = store.read(store.rows_of(entry.split, entry.count))
    if not len(held_out):
        raise BadInput(f"information.{recipe.name}.split: there are no {entry.split} images to measure on")
    asked = entry.classification if len(held_out.classes) > 1 else None
    if asked is not entry.classification:
        log.warning("%s: the images are all of one class, so none is classified", what)
    by_truth = {table.name for table in tables if leaks(table.recipe["policy"])}
    written = {table.name: Orders.read(table.folder / "orders.parquet") for table in tables}
    walks = walks_of(entry, held_out, recipe.seed, written)
    files = {network.name: stage.state / f"{network.name}.json" for network in networks}
    todo = [network for network in networks if not files[network.name].is_file()]
    for network in until_stopped(progress(todo, what, unit="model")):
        model = load_model(network.folder, pick_device())
        told = {"walks": {n: likelihood(model, held_out, walk, entry.batch) for n, walk in walks.items()}}
        if asked is not None:
            some = held_out.select(entry.split, asked.count)
            told["classes"] = classification(
                model, some, asked, batch=entry.batch, seed=recipe.seed, what=f"{what} {network.name}"
            )
        write_sealed(files[network.name], told)
    found = {name: read_sealed(file) for name, file in files.items()}
    facts = {
        "split": entry.split,
        "count": len(held_out),
        "positions": held_out.grid.positions,
        "draws": entry.draws,
        "hidden": {name: walk.last for name, walk in walks.items() if walk.last is not None},
        "leaking": [name for name, order in entry.orders.items() if by_truth & _read(order)],
        "models": {name: told["walks"] for name, told in found.items()},
    }
    if asked is not None:
        facts["classification"] = {name: told["classes"] for name, told in found.items()}
    write_json(out / "information.json", facts)
    stage.finish("information.json")


def _read(order: OrderConfig) -> set[str]:
    """The extractions that give each image its own order."""
    return {table.orders for table in read_image_by_image(order)}
