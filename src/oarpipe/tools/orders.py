"""Tells what orders are like: maps, entropy, agreement, jumps, regions, background, V-information."""

import json as plain
import math
from pathlib import Path
from typing import Any

from oarpipe.base.files import write_text
from oarpipe.base.log import log
from oarpipe.base.receipts import Receipt, checked
from oarpipe.errors import BadInput

CLASSES_TOLD = 20  # of more, the first places would fill the screen


def orders(
    *sets: str,
    out: Path | None = None,
    json: bool = False,
    tokens: Path | None = None,
    dataset: Path | None = None,
    tokenizer: Path | None = None,
    features: Path | None = None,
    information: Path | None = None,
) -> None:
    """Prints a short table of one or several sets of orders; `--out` writes a page of maps and charts.

    oarpipe orders results/digits/seed-0/orders/greedy
    oarpipe orders a/orders.parquet b/orders.parquet --out orders.html
    oarpipe orders results/digits/seed-0/samples/greedy_greedy --json

    A set is an order table, or the folder of an extraction or of generated samples. Background is told with
    --dataset (of samples always), recognisability with --tokenizer, --features and, except of samples,
    --tokens; V-information with --information and --tokens.
    """
    if not sets:
        raise BadInput("name at least one order table, such as results/digits/seed-0/orders/greedy")
    if out is not None and out.suffix != ".html":
        raise BadInput(f"--out {out}: expected the name of a page that ends in .html")
    from oarpipe.reports.order_contents import Ingredients
    from oarpipe.reports.order_page import order_page
    from oarpipe.reports.order_sets import read_sets

    given = Ingredients(
        tokens=_receipt(tokens, "tokens"),
        dataset=_receipt(dataset, "datasets"),
        tokenizer=_receipt(tokenizer, "tokenizers"),
        features=_receipt(features, "features"),
        information=_receipt(information, "information"),
    )
    facts = _facts(read_sets([Path(one) for one in sets]), given)
    if out is not None:
        write_text(out, order_page(facts))
        log.info("wrote %s", out)
    if json:
        print(plain.dumps(_finite(facts), indent=1))
    elif out is None:
        print("\n".join(_table(facts)))


def _receipt(folder: Path | None, table: str) -> Receipt | None:
    return None if folder is None else checked(folder, table)


def _facts(sets: Any, given: Any) -> dict[str, Any]:
    from oarpipe.reports.order_contents import background_facts, information_facts, recognition_facts
    from oarpipe.reports.order_facts import pair_facts, set_facts

    names, told = given.classes(), []
    for one in sets:
        facts = set_facts(one)
        facts["classes"] = [_class(label, names) for label in facts["labels"]]
        facts["background"] = background_facts(one, given)
        facts["recognition"] = recognition_facts(one, given)
        told.append(facts)
    found = information_facts(given)
    for order in found:
        for row in [order["all"], *order["classes"]]:
            row["name"] = "all" if row["label"] is None else _class(row["label"], names)
    return {"sets": told, "pairs": pair_facts(sets), "information": found}


def _class(label: int, names: list[str] | None) -> str:
    return names[label] if names and label < len(names) else str(label)


def _finite(facts: Any) -> Any:
    """The same with null where there is no number, which JSON has no nan for."""
    if isinstance(facts, dict):
        return {key: _finite(value) for key, value in facts.items()}
    if isinstance(facts, list):
        return [_finite(value) for value in facts]
    return None if isinstance(facts, float) and math.isnan(facts) else facts


def _table(facts: dict[str, Any]) -> list[str]:
    """A line a measure, a column a set; in brackets what random orders come to."""
    from oarpipe.reports.leaks import leak_note
    from oarpipe.reports.order_page import leaking, measured_rows

    sets = facts["sets"]
    width = max(18, *(len(one["name"]) + 2 for one in sets))
    lines = [f"{'':<52}" + "".join(f"{one['name']:>{width}}" for one in sets)]
    lines.append(
        f"{'images (in brackets: random orders)':<52}" + "".join(f"{s['images']:>{width},}" for s in sets)
    )
    for words, cells in measured_rows(sets):
        told = [f"{cell[0]:.3f} ({cell[1]:.3f})" if cell else "" for cell in cells]
        lines.append(f"{words:<52}" + "".join(f"{text:>{width}}" for text in told))
    lines += [_first_places(one) for one in sets if len(one["classes"]) <= CLASSES_TOLD]
    for pair in facts["pairs"]:
        lines.append(f"tau of {' and '.join(pair['sets'])}: {pair['tau']:.3f} ± {pair['error']:.3f}")
    for one in sets:
        for view in one["views"]:
            told_tau = f"{view['tau']:.3f}, turned round {view['tau_mirrored']:.3f}"
            lines.append(f"tau of views 0 and {view['view']} of {one['name']}: {told_tau}")
    for order in facts["information"]:
        row = order["all"]
        lines.append(
            f"V-information of {order['order']} ({order['model']}) over raster ({order['raster_model']}): "
            f"{row['gain']:+.2f} ± {row['error']:.2f} nats an image "
            f"({row['raster']:.2f} to {row['specialised']:.2f})"
        )
    note = leak_note(leaking(facts))
    return [*lines, note] if note else lines


def _first_places(one: dict[str, Any]) -> str:
    """Where most walks of each class begin, as row and column from 0, and how many if not all."""
    width = int(one["grid"].partition("x")[2])
    told = []
    for name, shares in zip(one["classes"], one["first_places"], strict=True):
        share = max(shares)
        row, column = divmod(shares.index(share), width)
        told.append(f"{name} at {row},{column}" + (f" ({share:.0%})" if share < 1 else ""))
    return f"first places of {one['name']}: {'; '.join(told)}"
