"""`config/known_answer.yaml` from its pictures to its report: extraction and numbers find the key."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oarpipe.base.files import read_json
from oarpipe.data.order_table import OrderTable
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.sources.keyed import KEYS, PLACES, WRONG
from oarpipe.data.token_store import TokenStore
from tests.keyed import following_after_a_mark, keyed_cells, log_probs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the book's seed."""
    root = tmp_path_factory.mktemp("known")
    command = [str(BIN / "snakemake"), "-s", str(ROOT / "Snakefile"), "-d", str(root), "--cores", "2"]
    run = subprocess.run(
        [*command, "--configfile", str(ROOT / "config/known_answer.yaml")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(root / "cache")},
    )
    assert run.returncode == 0, run.stderr
    assert (root / "results/known_answer/reports/known/report.html").is_file()
    return root / "results/known_answer/seed-0"


def colour_of(seed: Path) -> np.ndarray:
    """The colour that each code stands for; a picture's codes are its colours, without fail."""
    store = TokenStore.open(seed / "tokens/keyed/tokens.zarr").read()
    cells, codes = keyed_cells(store.sample_ids), store.tokens[:, 0].astype(int)
    colours = np.full(store.codebook, -1)
    colours[codes] = cells
    assert (colours[codes] == cells).all()
    assert len(np.unique(codes)) == 2 * KEYS
    return colours


@pytest.mark.slow
@pytest.mark.parametrize("orders", ["greedy", "greedy_test"])
def test_extraction_begins_at_the_key_of_every_picture(seed: Path, orders: str) -> None:
    table = OrderTable.read(seed / "orders" / orders / "orders.parquet")
    assert (table.order[:, 0] == PLACES[table.label]).all()


@pytest.mark.slow
def test_the_greedy_order_costs_nearly_what_the_truth_costs_and_less_than_the_key_last(seed: Path) -> None:
    told = read_json(seed / "information/held_out/information.json")["models"]["any"]
    held_out = TokenStore.open(seed / "tokens/keyed/tokens.zarr").read().select("test")
    truth = -log_probs(keyed_cells(held_out.sample_ids), held_out.labels) / 9
    over = {name: float(np.mean(one["per_sample"] - truth)) for name, one in told.items()}
    assert abs(over["greedy"]) < 0.006  # nats a code, of 0.745
    assert over["greedy"] < over["raster"]
    assert over["greedy"] < over["key_last"]


@pytest.mark.slow
def test_in_two_steps_marks_follow_the_key_as_often_as_their_chances_say(seed: Path) -> None:
    colours, follows = colour_of(seed), {}
    for way in ("greedy", "raster", "key_last"):
        store = SampleStore.open(seed / f"samples/any_{way}_2/samples.zarr")
        cells, labels = colours[store.read("tokens").astype(int)], store.read("labels").astype(int)
        key = cells[np.arange(len(cells)), PLACES[labels]]
        follows[way] = (cells == KEYS + key[:, None]).sum(axis=1).mean() / 8
    assert follows["greedy"] == pytest.approx(1 - WRONG, abs=0.05)
    assert follows["raster"] == pytest.approx(following_after_a_mark(), abs=0.05)
    assert follows["key_last"] == pytest.approx(following_after_a_mark(), abs=0.05)


@pytest.mark.slow
def test_distance_and_precision_notice_what_was_filled_first(seed: Path) -> None:
    sets = read_json(seed / "evaluations/main/metrics.json")["sets"]
    metrics = {way: sets[f"any_{way}_2"]["metrics"] for way in ("greedy", "random", "raster", "key_last")}
    for other in ("random", "raster", "key_last"):
        assert metrics["greedy"]["fd[keyed]"] < metrics[other]["fd[keyed]"]
        assert metrics["greedy"]["precision"] > metrics[other]["precision"] + 0.05
