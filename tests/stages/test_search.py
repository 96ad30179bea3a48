"""The stage `search`: the nearest cell of the grid, and the arm's full set made there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from oarpipe.base.files import read_json
from oarpipe.base.receipts import checked
from oarpipe.config.recipe import Recipe
from oarpipe.config.samples import SearchConfig
from oarpipe.data.images import open_images
from oarpipe.data.sample_store import SampleStore
from oarpipe.decoding.generation import Generator
from oarpipe.metrics.extractors import load_extractor
from oarpipe.stages.generate import generate
from oarpipe.stages.merge_samples import merge_samples
from oarpipe.stages.search import search
from tests.stages.ingredients import SQUARE, files, real_model, real_tokenizer, samples_recipe, tokens
from tests.stages.measuring import make_dataset, make_network

ARM = samples_recipe(count=10, batch=8, shard=4, guidance={"scale": 1.0, "places": "guided"})
GRID = {"temperatures": [0.5, 2.0], "guidances": [1.0, 3.0]}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("line")
    store = tokens(root / "tokens", grid=SQUARE)
    return {
        "model": real_model(root / "any", store),
        "tokenizer": real_tokenizer(root / "tokenizer"),
        "dataset": make_dataset(root).folder,
        "features": make_network(root).folder,
    }


def run(line: dict[str, Any], out: Path, **options: Any) -> dict[str, Any]:
    entry = {"samples": ["greedy"], "count": 24, "dataset": "d", "features": "f", **GRID, **options}
    arm = out.parent / "arm.yaml"
    arm.write_text(ARM.text())
    recipe = Recipe("searches", "best", 0, SearchConfig.model_validate(entry))
    search(recipe, arm=arm, **line, out=out)
    found = read_json(out / "search.json")
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def found(line: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("search") / "greedy"
    return out, run(line, out)


def plain(line: dict[str, Any], out: Path, cell: dict[str, float], count: int) -> SampleStore:
    """A plain generation at a cell's setting."""
    asked = samples_recipe(
        count=count,
        batch=8,
        shard=4 if count == 10 else 8,
        temperature=cell["temperature"],
        guidance={"scale": cell["guidance"], "places": "guided"},
    )
    ingredients = {name: line[name] for name in ("model", "tokenizer")}
    generate(asked, **ingredients, out=out)
    merge_samples(asked, **ingredients, out=out)
    return SampleStore.open(out / "samples.zarr")


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """The definition, with scipy's matrix root."""
    root = scipy.linalg.sqrtm(np.cov(a, rowvar=False) @ np.cov(b, rowvar=False)).real
    traces = np.trace(np.cov(a, rowvar=False)) + np.trace(np.cov(b, rowvar=False)) - 2 * np.trace(root)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces)


def test_the_best_cell_is_the_nearest_of_the_whole_grid(found: tuple[Path, dict[str, Any]]) -> None:
    _, told = found
    assert [(cell["temperature"], cell["guidance"]) for cell in told["grid"]] == [
        (0.5, 1.0), (0.5, 3.0), (2.0, 1.0), (2.0, 3.0)
    ]  # fmt: skip
    values = [cell["value"] for cell in told["grid"]]
    assert len(set(values)) == 4
    assert told["best"] == told["grid"][int(np.argmin(values))]
    assert (told["arm"], told["split"], told["count"], told["metric"]) == ("greedy", "test", 24, "fd[digits]")
    assert (told["convention"], told["network"]["name"], told["reference"]["name"]) == (
        *("fidelity", "digits", "digits test"),
    )


def test_every_cell_has_an_interval_and_a_paired_one_above_the_best(
    found: tuple[Path, dict[str, Any]],
) -> None:
    told = found[1]
    assert told["bootstrap"] == 100
    for cell in told["grid"]:
        assert cell["low"] < cell["value"] < cell["high"]
        low, high = cell["above_best"]
        assert low <= cell["value"] - told["best"]["value"] <= high
    assert told["best"]["above_best"] == [0, 0]


def test_without_resampling_there_are_no_intervals(line: dict[str, Any], tmp_path: Path) -> None:
    told = run(line, tmp_path / "greedy", bootstrap=0, temperatures=[1.0], guidances=[1.0])
    (cell,) = told["grid"]
    assert (cell["low"], cell["high"], cell["above_best"]) == (None, None, None)


def test_a_cells_value_is_the_frechet_distance_of_a_plain_generation(
    line: dict[str, Any], found: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    cell = found[1]["grid"][1]
    images = plain(line, tmp_path / "cell", cell, 24).read("images")
    network = load_extractor(checked(line["features"], "features"))
    source = open_images(checked(line["dataset"], "datasets"))
    measured = [
        network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).features.double().numpy()
        for pixels in (images, source.load(source.index.rows("test")))
    ]
    assert cell["value"] == pytest.approx(frechet(*measured), rel=1e-3)


def test_the_full_set_is_a_plain_generation_at_the_best_setting(
    line: dict[str, Any], found: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, told = found
    plain(line, tmp_path / "plain", told["best"], 10)
    assert files(out / "samples.zarr") == files(tmp_path / "plain" / "samples.zarr")
    assert set(checked(out, "searches").files) >= {"search.json"}


def test_a_killed_search_measures_no_cell_twice(
    line: dict[str, Any], found: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, drawn, last = Generator.draw, 0, 7  # the third of four cells, each of three blocks

    def interrupted(self: Generator, samples: range) -> Any:
        nonlocal drawn
        if drawn == last:
            raise KeyboardInterrupt
        drawn += 1
        return draw(self, samples)

    monkeypatch.setattr(Generator, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(line, tmp_path / "greedy")
    drawn, last = 0, 2 * 3 + 3  # two cells, and the three shards of the full set
    assert run(line, tmp_path / "greedy") == found[1]
    assert drawn == last
    assert checked(tmp_path / "greedy", "searches") == checked(found[0], "searches")


def test_a_finished_search_draws_nothing(
    line: dict[str, Any], found: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Generator, "draw", None)
    assert run(line, found[0]) == found[1]
