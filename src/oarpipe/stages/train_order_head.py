"""Trains a head that predicts the greedy walk of a frozen model from its extracted orders."""

from pathlib import Path

from oarpipe.base.agreement import check_tokens
from oarpipe.base.files import write_json
from oarpipe.base.log import log
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.config.order_heads import OrderHeadConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput


def train_order_head(
    recipe: Recipe[OrderHeadConfig], *, model: Path, tokens: Path, orders: Path, out: Path
) -> None:
    """Killed and run again, it goes on where it saved; `agreement.json` tells how well it foresees."""
    inputs = {
        "model": checked(model, "models"),
        "tokens": checked(tokens, "tokens"),
        "orders": checked(orders, "orders"),
    }
    check_tokens(inputs["tokens"], [inputs["model"], inputs["orders"]])
    stage = Stage(recipe, out, inputs=inputs)
    if stage.is_done():
        return
    if inputs["orders"].inputs.get("model") != inputs["model"].digest:
        log.warning(
            "order_heads.%s: %s were extracted with another model than %s, whose walks it is to predict",
            recipe.name,
            inputs["orders"].folder,
            inputs["model"].folder,
        )
    _train(stage, inputs)
    stage.finish("order_head.safetensors", "order_head.yaml", "agreement.json")


def _train(stage: Stage, inputs: dict[str, Receipt]) -> None:
    from oarpipe.base.devices import pick_device
    from oarpipe.data.order_table import Orders
    from oarpipe.data.token_store import TokenStore
    from oarpipe.models import load_model
    from oarpipe.models.order_head import OrderHead
    from oarpipe.models.position_tokens import PositionTokens
    from oarpipe.orders.sources import Table
    from oarpipe.training.order_head import HeadRun, fit_head, held_apart, judge

    recipe, device = stage.recipe, pick_device()
    entry: OrderHeadConfig = recipe.entry
    store = TokenStore.open(inputs["tokens"].folder / "tokens.zarr")
    images = store.read(store.rows_of("train"))
    if len(images) < 2:
        raise BadInput(f"{inputs['tokens'].folder}: {len(images)} training images, a head needs two or more")
    body = load_model(inputs["model"].folder, device)
    if not isinstance(body, PositionTokens):
        raise BadInput(
            f"{inputs['model'].folder}: goes in raster order alone, so there is nothing to predict"
        )
    head = OrderHead(
        positions=body.grid.positions,
        classes=body.classes,
        body_width=body.width,
        width=entry.width,
        dropout=entry.dropout,
    )
    head.initialise(recipe.seed)
    train, held_out = held_apart(images, entry.held_out)
    written = Orders.read(inputs["orders"].folder / "orders.parquet")
    run = HeadRun(
        name=f"{recipe.table}/{recipe.name}",
        body=body,
        head=head.to(device),
        train=train,
        held_out=held_out,
        orders=Table(inputs["orders"].name, written),
        config=entry,
        seed=recipe.seed,
        metrics=stage.out / "metrics.jsonl",
        checkpoints=stage.state,
    )
    fit_head(run).save(stage.out)
    found = judge(run)
    log.info(
        "%s: next place foreseen in %.1f %% of steps, tau %.3f", run.name, 100 * found["hit_1"], found["tau"]
    )
    write_json(stage.out / "agreement.json", {**found, "images": len(held_out)})
