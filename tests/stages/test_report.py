"""The report stage: light to import, done once, refuses what is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from oarpipe.base.receipts import read_receipt
from oarpipe.errors import FingerprintMismatch, IncompleteData
from oarpipe.stages.report import report
from tests.reports.tree import grow, small_book


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    return grow(small_book((0, 1)), tmp_path_factory.mktemp("results"))


def test_the_stage_imports_no_torch() -> None:
    code = (
        "import sys, oarpipe.stages.report; assert not {'torch', 'matplotlib', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_report_is_written_once_and_covers_every_seed(tree: dict[str, list[Path]], tmp_path: Path) -> None:
    recipe = small_book((0, 1)).recipe("reports", "r", 0)
    report(recipe, **tree, out=tmp_path)
    receipt = read_receipt(tmp_path, "reports")
    assert list(receipt.files) == ["report.html"]
    assert sum(name.startswith("samples.samples.any_random.seed-") for name in receipt.inputs) == 2
    written = (tmp_path / "report.html").stat().st_mtime_ns
    report(recipe, **tree, out=tmp_path)
    assert (tmp_path / "report.html").stat().st_mtime_ns == written


def test_a_report_without_an_evaluation_is_refused(tree: dict[str, list[Path]], tmp_path: Path) -> None:
    recipe = small_book((0, 1)).recipe("reports", "r", 0)
    with pytest.raises(IncompleteData, match="needs an evaluation"):
        report(recipe, **{**tree, "evaluation": []}, out=tmp_path)


def test_a_folder_of_another_table_is_named(tree: dict[str, list[Path]], tmp_path: Path) -> None:
    recipe = small_book((0, 1)).recipe("reports", "r", 0)
    with pytest.raises(FingerprintMismatch, match=r"holds models\.any, expected one of 'samples'"):
        report(recipe, **{**tree, "samples": tree["models"][:1]}, out=tmp_path)
