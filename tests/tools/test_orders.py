"""The command `orders`, on tables written here."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oarpipe.cli import main
from oarpipe.metrics.neighbours import random_connected_runs
from tests.reports.walked import RASTER, SQUARE, order_table, write
from tests.stages import ingredients, measuring

REVERSED = RASTER[::-1]
TURNED = [2, 1, 0, 5, 4, 3, 8, 7, 6]  # raster, from the other side


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    assert main(["orders", *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_raster_orders_are_measured_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "raster", order_table([(i, i % 2, RASTER) for i in range(4)]))
    (one,) = told(capsys, table)["sets"]
    assert one["d"]["value"] == pytest.approx((6 + 2 * 5**0.5) / 8)
    assert one["entropy"]["value"] == one["class_entropy"]["value"] == 0
    assert 0 < one["class_entropy"]["random"] < one["entropy"]["random"] < 1  # fewer images, less entropy
    assert one["tau_within"]["value"] == one["tau_between"]["value"] == 1
    assert one["touch"]["value"] == 1
    assert one["run_length"]["value"] == 9
    assert one["run_length"]["random"] == pytest.approx(9 / random_connected_runs(SQUARE))
    assert one["quadrant_visits"]["value"] == 5 / 4 + 1 / 4  # 0 1 0 1 2 3: six runs over four
    assert one["mean_steps"] == [RASTER, RASTER]
    assert one["first_places"][0] == [1] + [0] * 8
    assert one["background"] is None
    assert one["recognition"] is None


def test_two_tables_agree_by_the_images_they_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write(tmp_path / "seed-0" / "greedy", order_table([(i, 0, RASTER) for i in range(4)]))
    second = write(tmp_path / "seed-1" / "greedy", order_table([(i, 0, REVERSED) for i in range(2, 6)]))
    facts = told(capsys, first, f"{second}/orders.parquet")
    (pair,) = facts["pairs"]
    assert (pair["sets"], pair["images"], pair["tau"]) == (["seed-0/greedy", "seed-1/greedy"], 2, -1)
    assert facts["sets"][0]["tau_between"]["value"] is None  # one class
    assert main(["orders", first, second]) == 0
    printed = capsys.readouterr().out
    assert "tau of seed-0/greedy and seed-1/greedy: -1.000 ± 0.000" in printed
    assert "first places of seed-1/greedy: 0 at 2,2" in printed
    assert "1.309 (" in printed  # d, and that of random orders behind it


def test_views_agree_as_they_are_and_turned_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(i, 0, order) for i in range(3) for order in (RASTER, TURNED)]
    table = write(tmp_path / "views", order_table(rows, view=[0, 1] * 3))
    facts = told(capsys, table)
    (view,) = facts["sets"][0]["views"]
    assert view["tau_mirrored"] == 1
    assert view["tau"] == pytest.approx(1 - 2 * 9 / 36)  # three pairs in each of three rows
    assert facts["sets"][0]["images"] == 3


def test_a_page_holds_all_and_asks_the_network_for_nothing(tmp_path: Path) -> None:
    table = write(tmp_path / "a<b", order_table([(i, i % 2, RASTER) for i in range(4)]))
    other = write(tmp_path / "other", order_table([(i, i % 2, REVERSED) for i in range(4)]))
    page = tmp_path / "orders.html"
    assert main(["orders", table, other, "--out", str(page)]) == 0
    text = page.read_text()
    assert "a&lt;b and other" in text
    assert "a<b" not in text
    assert text.count("<svg") == 3
    assert text.count("<img") == 4
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", text)
    assert "None" not in text


@pytest.mark.parametrize("score", ["truth", "max_prob"])
def test_orders_by_the_truth_are_said_to_leak(
    score: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = order_table([(i, 0, RASTER) for i in range(4)])
    policy = json.dumps({"select": "greedy", "score": score})
    table = write(tmp_path / "known", replace(made, provenance={**made.provenance, "policy": policy}))
    assert main(["orders", table]) == 0
    words = "By the score “truth”: known. It looks at the code that is to be predicted"
    assert (words in capsys.readouterr().out) == (score == "truth")
    page = tmp_path / "orders.html"
    assert main(["orders", table, "--out", str(page)]) == 0
    assert (words in page.read_text()) == (score == "truth")


def test_generated_samples_are_orders_with_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = measuring.make_samples(tmp_path, "noise").folder
    (one,) = told(capsys, str(samples))["sets"]
    assert (one["kind"], one["images"], one["grid"]) == ("generation", 30, "2x2")
    assert one["background"]["value"] == one["background"]["random"] == 0  # noise is nowhere plain


@pytest.fixture(scope="module")
def mistakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], str]]:
    """Words of the command, and what it says to them."""
    root = tmp_path_factory.mktemp("mistakes")
    good = write(root / "good", order_table([(3, 0, RASTER)]))
    bare = write(root / "bare", replace(order_table([(3, 0, RASTER)]), provenance={}))
    empty = write(root / "empty", order_table([]))
    dot = write(root / "dot", replace(order_table([(3, 0, [0])], grid=SQUARE), provenance={"grid": "1x1"}))
    tokens = str(ingredients.tokens(root / "tokens", grid=ingredients.SQUARE))
    tokenizer = str(ingredients.real_tokenizer(root / "tokenizer"))
    features, dataset = (str(make(root).folder) for make in (measuring.make_network, measuring.make_dataset))
    line = write(root / "line", order_table([(0, 0, [0, 1, 2, 3, 4])], grid=ingredients.Grid(1, 5)))
    return {
        "none": ([], "at least one order table"),
        "missing": ([str(root / "nowhere")], "nowhere: no such order table"),
        "no grid": ([bare], "its metadata name no grid"),
        "no rows": ([empty], "holds no orders"),
        "one place": ([dot], "a grid of one place"),
        "twice": ([good, good], "named twice"),
        "page": ([good, "--out", str(root / "page")], "ends in .html"),
        "another table": ([good, "--tokens", dataset], "expected one of 'tokens'"),
        "other tokens": (
            [good, "--tokens", tokens, "--tokenizer", tokenizer, "--features", features],
            "extracted from other tokens",
        ),
        "not dividing": ([line, "--dataset", dataset], "do not divide into 1x5 places"),
    }


KINDS = [
    "none",
    "missing",
    "no grid",
    "no rows",
    "one place",
    "twice",
    "page",
    "another table",
    "other tokens",
]


@pytest.mark.parametrize("kind", [*KINDS, "not dividing"])
def test_a_mistake_is_told_in_a_line(
    kind: str, mistakes: dict[str, tuple[list[str], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    words, says = mistakes[kind]
    assert main(["orders", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
