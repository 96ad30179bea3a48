"""The stage `benchmark`: with a recipe a stage like others, without one a command; files of either form."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from oarpipe.base.receipts import checked
from oarpipe.benchmarks import machine, run
from oarpipe.cli import main
from oarpipe.config.benchmarks import BenchmarkConfig
from oarpipe.config.recipe import Recipe
from oarpipe.stages import benchmark as stage
from oarpipe.stages.benchmark import benchmark

TINY = {"layers": 1, "heads": 2, "width": 16, "codebook": 11, "classes": 5}
ENTRY: dict[str, Any] = {
    "small": {**TINY, "side": 2},
    "model": {**TINY, "side": 6},
    "large": {**TINY, "side": 4},
    "batches": [1, 2],
    "every": 4,
    "resolution": 32,
    "rounds": 1,
}
SECTIONS = [
    "table8",
    "oracle",
    "extraction",
    "exact",
    "generation",
    "training",
    "images",
    "loader",
    "profile",
]


def recipe(**options: Any) -> Recipe[BenchmarkConfig]:
    entry = BenchmarkConfig.model_validate({**ENTRY, "sections": ["loader"], **options})
    return Recipe("benchmarks", "here", 0, entry)


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine._GEMM, "cpu", 32)
    monkeypatch.setitem(machine._BUFFER, "cpu", 2**12)


def test_every_section_but_memory_is_measured_and_told(tmp_path: Path) -> None:
    benchmark(recipe(sections=SECTIONS), out=tmp_path)
    facts = json.loads((tmp_path / "benchmark.json").read_text())
    assert list(facts["sections"]) == sorted(SECTIONS)
    for name, section in facts["sections"].items():
        for row in section.get("rows", []):
            assert row["seconds"] > 0, (name, row)
            assert name == "loader" or row["floor"] > 0
    generated = facts["sections"]["generation"]["rows"]
    assert {(row["count"], row["precision"]) for row in generated} == {
        (count, precision) for count in (1, 2) for precision in ("float32", "bfloat16")
    }
    assert sum(facts["sections"]["profile"]["shares"]["training step"].values()) == pytest.approx(1, abs=0.01)
    page = (tmp_path / "benchmark.md").read_text()
    for section in facts["sections"].values():
        assert f"## {section['title']}" in page
    tables = re.findall(r"(?:^\|.*\n)+", page, flags=re.MULTILINE)
    assert len(tables) == len(SECTIONS) + 3  # and goals, the machine, and what others published
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)
    assert checked(tmp_path, "benchmarks").recipe["rounds"] == 1


def test_a_finished_benchmark_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark(recipe(), out=tmp_path)
    before = checked(tmp_path, "benchmarks")
    monkeypatch.setattr(run, "figures", None)
    benchmark(recipe(), out=tmp_path)
    assert checked(tmp_path, "benchmarks") == before


def test_the_command_alone_prints_or_writes_a_file_or_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage, "BenchmarkConfig", lambda: recipe().entry)
    assert main(["benchmark"]) == 0
    assert "# Benchmarks" in capsys.readouterr().out
    for name in ("page.md", "facts.json", "folder"):
        assert main(["benchmark", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "page.md").read_text().startswith("<!-- written by")
    assert json.loads((tmp_path / "facts.json").read_text())["format"] == 1
    assert sorted(file.name for file in (tmp_path / "folder").iterdir()) == ["benchmark.json", "benchmark.md"]


@pytest.mark.slow
def test_memory_is_measured_in_processes_of_their_own(tmp_path: Path) -> None:
    benchmark(recipe(sections=["memory"]), out=tmp_path)
    cases = json.loads((tmp_path / "benchmark.json").read_text())["sections"]["memory"]["cases"]
    assert [(case["positions"], case["batch"]) for case in cases] == [
        (4, 8),
        (4, 16),
        (4, 64),
        (9, 16),
        (16, 16),
    ]
