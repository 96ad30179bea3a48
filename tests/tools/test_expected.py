"""`oarpipe doctor --expect` and `--compare`: a run beside what its book came to elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from oarpipe.base.files import write_json, write_text
from oarpipe.base.receipts import Stage
from oarpipe.cli import main
from oarpipe.tools.expected import WITHIN
from tests.reports.walked import RASTER, order_table
from tests.stages.measuring import recipe_of

MODEL = {"tokens": "t", "train": {"steps": 80}}


def run(root: Path, *, last_loss: float = 2.0, distance: float = 10.0, lr: float = 1e-3) -> Path:
    """The results of a book `small`: a tokenizer, a model, orders and an evaluation."""
    results = root / "results" / "small"

    def finish(table: str, raw: dict[str, Any], name: str, content: Any) -> None:
        stage = Stage(recipe_of(table, "one", raw), results / "seed-0" / table / "one")
        if name.endswith(".json"):
            write_json(stage.out / name, content)
        elif name.endswith(".jsonl"):
            write_text(stage.out / name, "".join(json.dumps(line) + "\n" for line in content))
        else:
            content.write(stage.out / name)
        stage.finish(name)

    finish(
        "tokenizers",
        {"kind": "vqgan", "dataset": "d", "train": {"steps": 1}},
        "reconstruction.json",
        {"psnr": 20.0, "usage": 0.5, "count": 3},
    )
    losses = [{"step": step, "loss": 4.0 - step / 100, "lr": lr} for step in range(9, 79, 10)]
    lines = [*losses, {"step": 79, "loss": last_loss}, {"step": 79, "validation_nll": 2.5}]
    finish("models", {**MODEL, "train": {"steps": 80, "lr": lr}}, "metrics.jsonl", lines)
    finish("orders", {"model": "m", "tokens": "t"}, "orders.parquet", order_table([(0, 0, RASTER)]))
    sets = {"random": {"metrics": {"fd[digits]": distance, "precision": 0.5}}}
    finish("evaluations", {"dataset": "d", "features": "f"}, "metrics.json", {"sets": sets})
    return results


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which a run is expected."""
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--expect", str(run(tmp_path))]) == 0
    return tmp_path


def compared(results: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command says of a run."""
    capsys.readouterr()
    assert main(["doctor", "--compare", str(results)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_file_holds_the_figures_of_the_run_and_how_far_they_may_part(clone: Path) -> None:
    content = yaml.safe_load((clone / "config/expected/small.yaml").read_text())
    figures = content["figures"]
    assert content["book"] == "small"
    assert figures["seed-0/tokenizers/one"]["psnr"] == {"value": 20.0, "within": 20 * WITHIN["psnr"]}
    steps = [int(name.split()[-1]) for name in figures["seed-0/models/one"] if name.startswith("loss")]
    assert steps == [9, 29, 49, 59, 79]  # five of eight
    assert figures["seed-0/models/one"]["validation_nll at step 79"]["value"] == 2.5
    assert figures["seed-0/orders/one"]["mean_step_distance"]["value"] == 1.309
    assert figures["seed-0/evaluations/one"] == {
        "recipe": figures["seed-0/evaluations/one"]["recipe"],
        "fd[digits] of random": {"value": 10.0, "within": 5.0},
    }


def test_a_run_agrees_with_itself(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = compared(clone / "results" / "small", capsys)
    assert told[-1] == "10 inside, 0 outside, 0 missing"
    assert all(line.startswith("inside ") for line in told[:-1])


def test_what_departs_is_told_figure_by_figure(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run(clone / "elsewhere", last_loss=2.2, distance=14.9)
    told = compared(other, capsys)
    outside = [line for line in told if line.startswith("outside")]
    assert outside == ["outside  seed-0/models/one loss at step 79: 2.2, expected 2 ± 0.06"]
    assert told[-1] == "9 inside, 1 outside, 0 missing"


def test_another_recipe_is_told_first_and_its_figures_still_compared(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = compared(run(clone / "elsewhere", lr=2e-3), capsys)
    assert told[0] == "changed  seed-0/models/one: its recipe is another than the one that was measured"
    assert told[-1] == "10 inside, 0 outside, 0 missing"


def test_a_published_figure_is_called_so_and_survives_a_new_run(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = clone / "config/expected/small.yaml"
    content = yaml.safe_load(file.read_text())
    content["figures"]["seed-0/evaluations/paper"] = {
        "fid of xl": {"value": 2.27, "within": 0.05, "source": "a README"}
    }
    file.write_text(yaml.safe_dump(content))
    results = run(clone / "again", last_loss=2.6)
    assert main(["doctor", "--expect", str(results)]) == 0
    told = compared(results, capsys)
    assert told[-1] == "10 inside, 0 outside, 1 missing"
    (line,) = [line for line in told if line.startswith("missing")]
    assert line.endswith("fid of xl: not in this run, expected 2.27 ± 0.05 (published: a README)")


def test_an_unknown_book_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (told,) = compared(run(tmp_path), capsys)
    assert told.endswith("nothing is expected of this book; there is no config/expected/small.yaml here")


@pytest.mark.parametrize("text", ["figures: 3", "figures: {a: {loss: {value: x, within: 1}}}", "{"])
def test_a_broken_file_and_a_folder_without_seeds_are_told_in_a_line(
    clone: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "config/expected/small.yaml").write_text(text)
    for folder, says in (
        ("results/small", "not a file of expected values"),
        ("results", "no seed-* in it"),
    ):
        assert main(["doctor", "--compare", str(clone / folder)]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "config/expected").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_file_that_is_shipped_is_of_a_shipped_book(file: Path) -> None:
    books = (yaml.safe_load(book.read_text()) for book in (ROOT / "config").rglob("*.yaml"))
    names = {book["name"] for book in books if "name" in book}
    content = yaml.safe_load(file.read_text())
    assert content["book"] == file.stem
    assert content["book"] in names
    for entries in content["figures"].values():
        measured = [one for name, one in entries.items() if name != "recipe" and "source" not in one]
        assert ("recipe" in entries) == bool(measured)
