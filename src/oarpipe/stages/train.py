"""Trains a model: any-order, or on orders that a rule names; from scratch, or from another model."""

from pathlib import Path

from oarpipe.base.agreement import check_tokens
from oarpipe.base.distributed import leads
from oarpipe.base.receipts import Stage, checked
from oarpipe.config.models import ModelConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput


def train(recipe: Recipe[ModelConfig], *, tokens: Path, init: Path | None = None, out: Path) -> None:
    """Trains on random or geometric orders; killed and run again, it goes on from its last checkpoint."""
    fit_model(recipe, tokens=tokens, init=init, orders=[], out=out)


def fit_model(
    recipe: Recipe[ModelConfig], *, tokens: Path, init: Path | None, orders: list[Path], out: Path
) -> None:
    """What `train` and `distill` share: read, train, publish."""
    _check_init(recipe, init)
    receipts = {"tokens": checked(tokens, "tokens")}
    if init is not None:
        receipts["init"] = checked(init, "models")
        check_tokens(receipts["tokens"], [receipts["init"]])
    tables = [checked(path, "orders") for path in orders]
    check_tokens(receipts["tokens"], tables)
    stage = Stage(recipe, out, inputs={**receipts, "orders": tables})
    if stage.is_done():
        return
    from oarpipe.data.batches import TokenBatches
    from oarpipe.data.order_table import Orders
    from oarpipe.data.token_store import TokenStore
    from oarpipe.models import load_weights, save_model
    from oarpipe.models.position_tokens import PositionTokens
    from oarpipe.orders.sources import build_source
    from oarpipe.training.loop import Run, fit
    from oarpipe.training.objective import mean_nll
    from oarpipe.training.parallel import gathered, place

    entry, seed = recipe.entry, recipe.seed
    store = TokenStore.open(receipts["tokens"].folder / "tokens.zarr")
    layers, heads, width = entry.size
    model = PositionTokens(
        grid=store.grid,
        codebook=store.codebook,
        classes=len(store.classes),
        layers=layers,
        heads=heads,
        width=width,
        token_dropout=entry.token_dropout,
        residual_dropout=entry.residual_dropout,
        ffn_dropout=entry.ffn_dropout,
    )
    model.initialise(seed)
    if init is not None:
        load_weights(model, receipts["init"].folder)
    place(model, entry)
    written = {table.name: Orders.read(table.folder / "orders.parquet") for table in tables}
    held_out = store.read(store.rows_of("test"))
    run = Run(
        name=f"{recipe.table}/{recipe.name}",
        model=model,
        batches=TokenBatches(store.read(store.rows_of("train")), batch=entry.train.batch, seed=seed),
        source=build_source(entry.order, store.grid, seed, written),
        config=entry,
        seed=seed,
        metrics=out / "metrics.jsonl",
        checkpoints=stage.state,
        validate=(lambda m: mean_nll(m, held_out, seed)) if len(held_out) else None,
    )
    kept = fit(run)
    weights = gathered(kept.state_dict())
    if leads():
        save_model(out, kept, weights=weights)
        stage.finish("model.safetensors", "model.yaml")


def _check_init(recipe: Recipe[ModelConfig], init: Path | None) -> None:
    """A model is started from another if its recipe says so, and only then."""
    wanted = recipe.entry.init
    if wanted is not None and init is None:
        raise BadInput(f"models.{recipe.name}: starts from models.{wanted}; name its folder with --init")
    if wanted is None and init is not None:
        raise BadInput(f"models.{recipe.name}: its recipe has no `init:`; leave --init {init} out")
