"""What a cheaper extraction costs: every way of finding the same images' orders beside the exact one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from oarpipe.base.files import read_json
from oarpipe.base.receipts import Receipt
from oarpipe.config.orders import GreedyConfig, OrdersConfig, leaks
from oarpipe.data.order_table import OrderTable, rows_in_common
from oarpipe.data.token_store import TokenStore
from oarpipe.decoding.flops import extraction_cost
from oarpipe.metrics.agreement import Agreement, agreement
from oarpipe.models.flops import ModelSize, ffn_width
from oarpipe.reports.arms import extraction_name
from oarpipe.reports.leaks import leak_note
from oarpipe.reports.results import Results


@dataclass(frozen=True)
class Cheaper:
    """One extraction beside the exact one. Shares are of what the exact one took; None is unknown."""

    name: str
    policy: str
    flop_share: float
    seconds_share: float | None
    agreement: Agreement
    nll: float | None

    @property
    def facts(self) -> Mapping[str, float | int]:
        """The agreement's means."""
        return self.agreement.facts()


@dataclass(frozen=True)
class Comparison:
    """The extractions by one model and score, the dearest first; `nll` is of the exact orders."""

    exact: str
    model: str
    positions: int
    nll: float | None
    rows: Sequence[Cheaper]
    note: str


def cheaper_extractions(results: Results) -> list[Comparison]:
    """Of the first seed; only where there is an exact extraction and another of the same images."""
    groups: dict[tuple[Any, ...], list[Receipt]] = {}
    for receipt in results.receipts["orders"]:
        recipe = receipt.recipe
        if receipt.seed == results.seed:
            score = recipe["policy"].get("score", "max_prob")
            groups.setdefault((recipe["model"], recipe["tokens"], recipe["split"], score), []).append(receipt)
    found = [_comparison(results, group) for group in groups.values()]
    return [one for one in found if one is not None]


def _comparison(results: Results, group: Sequence[Receipt]) -> Comparison | None:
    exact = next((receipt for receipt in group if _is_exact(_config(receipt))), None)
    if exact is None or len(group) == 1:
        return None
    table = OrderTable.read(exact.folder / "orders.parquet")
    rows = []
    for receipt in group:
        other = OrderTable.read(receipt.folder / "orders.parquet")
        if receipt is exact or not set(table.sample_id) & set(other.sample_id):
            continue
        ours, theirs = rows_in_common(table, other)
        rows.append(
            Cheaper(
                receipt.name,
                _described(results, receipt),
                _cost(results, receipt) / _cost(results, exact),
                _seconds_share(receipt, len(other), exact, len(table)),
                agreement(table.order[ours], other.order[theirs], table.score[ours], other.score[theirs]),
                _nll(results, receipt),
            )
        )
    rows.sort(key=lambda row: row.flop_share, reverse=True)
    if not rows:
        return None
    note = leak_note([exact.name, *(row.name for row in rows)] if leaks(exact.recipe["policy"]) else [])
    model, positions = exact.recipe["model"], table.order.shape[1]
    return Comparison(exact.name, model, positions, _nll(results, exact), rows, note)


def _config(receipt: Receipt) -> OrdersConfig:
    return OrdersConfig.model_validate(receipt.recipe)


def _is_exact(config: OrdersConfig) -> bool:
    """As the paper does it: every open place is asked about before each is filled, each view; in float32."""
    is_greedy = isinstance(config.policy, GreedyConfig) and config.policy.per_step.kind == "one"
    is_plain = config.temperature == config.guidance == 1.0
    return is_greedy and is_plain and config.precision == "float32" and not config.mirror


def _described(results: Results, receipt: Receipt) -> str:
    config = _config(receipt)
    told = [extraction_name(receipt.recipe, results.recipes("orders"))]
    told += ["bfloat16"] * (config.precision == "bfloat16") + ["mirrored views"] * config.mirror
    return ", ".join(told)


def _cost(results: Results, receipt: Receipt) -> float:
    """FLOP of one image and view, on average over its views."""
    model = results.receipt("models", receipt.recipe["model"], receipt.seed)
    tokens = results.receipt("tokens", receipt.recipe["tokens"], receipt.seed)
    assert model is not None
    assert tokens is not None
    anatomy = yaml.safe_load((model.folder / "model.yaml").read_text())
    store = TokenStore.open(tokens.folder / "tokens.zarr")
    size = ModelSize(
        layers=anatomy["layers"],
        heads=anatomy["heads"],
        width=anatomy["width"],
        hidden=ffn_width(anatomy["width"]),
        codebook=store.codebook,
        positions=store.grid.positions,
    )
    head = receipt.recipe["policy"].get("head")
    width = results.recipes("order_heads")[head]["width"] if head else 0
    return extraction_cost(size, _config(receipt), len(store.views), head=width) / len(store.views)


def _seconds_share(receipt: Receipt, rows: int, exact: Receipt, exact_rows: int) -> float | None:
    """Seconds an order; None unless both were made on a like machine with as many threads."""
    ours, theirs = (
        read_json(one.folder / "run.json") if (one.folder / "run.json").is_file() else {}
        for one in (receipt, exact)
    )
    machine = ("host", "machine", "threads")
    if not ours or not theirs or any(ours[key] != theirs[key] for key in machine):
        return None
    return float(ours["seconds"]) / rows / (float(theirs["seconds"]) / exact_rows)


def _nll(results: Results, receipt: Receipt) -> float | None:
    """The model's NLL a token in the extracted orders, where the information stage walked them."""
    for measured in results.receipts["information"]:
        if measured.seed != receipt.seed or measured.recipe["split"] != receipt.recipe["split"]:
            continue
        walked = read_json(measured.folder / "information.json")["models"].get(receipt.recipe["model"], {})
        for name, source in measured.recipe["orders"].items():
            is_own = source["kind"] == "table" and source["orders"] == receipt.name
            if is_own and source.get("otherwise") is None and name in walked:
                return float(walked[name]["nll"])
    return None
