"""The stage `merge_orders`: one checked table out of the parts that `extract` left."""

from pathlib import Path

import numpy as np
import pytest

from oarpipe.base.receipts import Stage, checked
from oarpipe.config.orders import OrdersConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.order_table import NO_CAPTION, OrderTable, part_name, part_ranges
from oarpipe.errors import IncompleteData
from oarpipe.stages.merge_orders import merge_orders
from tests.stages import ingredients

TRAIN_IDS = np.array([3, 6, 9, 12, 18, 21, 24, 27])  # of the ten samples of ingredients.tokens


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    return {
        "model": ingredients.model(tmp_path / "model"),
        "tokens": ingredients.tokens(tmp_path / "tokens", views=2),
    }


def table(rows: range) -> OrderTable:
    index = np.array(rows)
    return OrderTable(
        sample_id=TRAIN_IDS[index // 2],
        view=(index % 2).astype(np.uint8),
        caption=np.full(len(rows), NO_CAPTION, np.int16),
        label=np.zeros(len(rows), np.int32),
        order=np.stack([np.random.default_rng(row).permutation(6) for row in rows]).astype(np.uint16),
        score=np.zeros((len(rows), 6), np.float32),
        mean_step_distance=np.ones(len(rows), np.float32),
        provenance={"grid": "2x3"},
    )


def extract(recipe: Recipe[OrdersConfig], inputs: dict[str, Path], out: Path) -> list[Path]:
    """What the shards of `extract` leave behind, without a model."""
    receipts = {name: checked(path, f"{name}s" if name == "model" else name) for name, path in inputs.items()}
    state = Stage(recipe, out, inputs=receipts).state
    parts = []
    for rows in part_ranges(16, recipe.entry.part):
        parts.append(state / part_name(rows.start, rows.stop))
        table(rows).write(parts[-1])
    return parts


def test_the_table_holds_every_view_of_the_splits_samples_in_order(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    recipe = ingredients.orders_recipe(part=5)
    extract(recipe, inputs, tmp_path / "orders")
    merge_orders(recipe, **inputs, out=tmp_path / "orders")
    assert list(checked(tmp_path / "orders", "orders").files) == ["orders.parquet"]
    merged = OrderTable.read(tmp_path / "orders" / "orders.parquet")
    np.testing.assert_array_equal(merged.sample_id, np.repeat(TRAIN_IDS, 2))
    np.testing.assert_array_equal(merged.order, table(range(16)).order)
    assert not (tmp_path / "orders" / "state").exists()


def test_merging_again_does_nothing(inputs: dict[str, Path], tmp_path: Path) -> None:
    recipe = ingredients.orders_recipe(part=5)
    extract(recipe, inputs, tmp_path / "orders")
    merge_orders(recipe, **inputs, out=tmp_path / "orders")
    (tmp_path / "orders" / "receipt.json").unlink()
    merge_orders(recipe, **inputs, out=tmp_path / "orders")  # the parts are gone, the table is enough
    checked(tmp_path / "orders", "orders")


def test_missing_parts_are_named(inputs: dict[str, Path], tmp_path: Path) -> None:
    recipe = ingredients.orders_recipe(part=5)
    parts = extract(recipe, inputs, tmp_path / "orders")
    parts[1].unlink()
    with pytest.raises(
        IncompleteData, match=r"1 of 4 parts are missing \(orders-000000005-000000010\.parquet\)"
    ):
        merge_orders(recipe, **inputs, out=tmp_path / "orders")
    assert not (tmp_path / "orders" / "receipt.json").exists()
    assert parts[0].is_file()


def test_a_truncated_part_is_named_and_the_others_are_kept(inputs: dict[str, Path], tmp_path: Path) -> None:
    recipe = ingredients.orders_recipe(part=5)
    parts = extract(recipe, inputs, tmp_path / "orders")
    parts[2].write_bytes(parts[2].read_bytes()[:100])
    with pytest.raises(IncompleteData, match=r"orders-000000010-000000015\.parquet: truncated.*delete it"):
        merge_orders(recipe, **inputs, out=tmp_path / "orders")
    assert all(part.is_file() for part in parts)


def test_a_part_with_the_wrong_samples_is_told(inputs: dict[str, Path], tmp_path: Path) -> None:
    recipe = ingredients.orders_recipe(part=8)
    parts = extract(recipe, inputs, tmp_path / "orders")
    table(range(8)).write(parts[1])
    with pytest.raises(IncompleteData, match="sample 3, view 0 is there twice"):
        merge_orders(recipe, **inputs, out=tmp_path / "orders")
