"""Measures the likelihood of held-out images under models, in given orders (paper Eqs. 3-5)."""

from pathlib import Path

from oarpipe.base.agreement import check_tokens
from oarpipe.base.files import read_sealed, write_json, write_sealed
from oarpipe.base.log import progress
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
    """Writes the NLL a token of every model in every order, and of every hole, with each sample's own.

    Resumes by models.
    """
    networks = [checked(path, "models") for path in models]
    codes = checked(tokens, "tokens")
    tables = [checked(path, "orders") for path in orders or []]
    check_tokens(codes, [*networks, *tables])
    stage = Stage(recipe, out, inputs={"models": networks, "tokens": codes, "orders": tables})
    if stage.is_done():
        return
    from oarpipe.base.devices import pick_device
    from oarpipe.base.noise import Stream
    from oarpipe.data.order_table import Orders
    from oarpipe.data.token_store import TokenStore
    from oarpipe.models import load_model
    from oarpipe.orders.holes import HiddenLast, hidden
    from oarpipe.orders.sources import OrderSource, build_source
    from oarpipe.training.objective import sample_nll

    entry = recipe.entry
    store = TokenStore.open(codes.folder / "tokens.zarr")
    held_out = store.read(store.rows_of(entry.split, entry.count))
    if not len(held_out):
        raise BadInput(f"information.{recipe.name}.split: there are no {entry.split} images to measure on")
    by_truth = {table.name for table in tables if leaks(table.recipe["policy"])}
    written = {table.name: Orders.read(table.folder / "orders.parquet") for table in tables}
    sources: dict[str, OrderSource] = {
        name: build_source(order, held_out.grid, recipe.seed, written, stream=Stream.VISIT)
        for name, order in entry.orders.items()
    }
    masks = {name: hidden(held_out.grid, hole.kind, hole.share) for name, hole in entry.holes.items()}
    sources |= {name: HiddenLast(mask, recipe.seed, Stream.VISIT) for name, mask in masks.items()}
    last = {name: int(mask.sum()) for name, mask in masks.items()}
    files = {network.name: stage.state / f"{network.name}.json" for network in networks}
    todo = [network for network in networks if not files[network.name].is_file()]
    for network in until_stopped(progress(todo, f"information/{recipe.name}", unit="model")):
        model = load_model(network.folder, pick_device())
        rows = {
            name: sample_nll(model, held_out, source, entry.batch, last=last.get(name))
            for name, source in sources.items()
        }
        told = {
            name: {"nll": float(row.mean()), "per_sample": [round(x, 6) for x in row.tolist()]}
            for name, row in rows.items()
        }
        write_sealed(files[network.name], told)
    found = {name: read_sealed(file) for name, file in files.items()}
    facts = {
        "split": entry.split,
        "count": len(held_out),
        "positions": held_out.grid.positions,
        "hidden": last,
        "leaking": [name for name, order in entry.orders.items() if by_truth & _read(order)],
        "models": found,
    }
    write_json(out / "information.json", facts)
    stage.finish("information.json")


def _read(order: OrderConfig) -> set[str]:
    """The extractions that give each image its own order."""
    return {table.orders for table in read_image_by_image(order)}
