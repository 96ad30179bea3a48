"""The command `compare`, on runs that no stage made."""

import subprocess
import sys
from pathlib import Path

import pytest

from oarpipe.cli import main
from tests.reports.runs import MODEL, evaluation, finish, likelihoods, measured, told


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str]:
    """Two runs that differ in a learning rate, in one sample set and in one likelihood."""
    for name, value in (("a", 3.5), ("b", 4.0)):
        run = tmp_path / "results" / name
        lr = MODEL if name == "a" else {**MODEL, "train": {"lr": 1e-3, "betas": [0.9, 0.95]}}
        finish(run, "seed-0/models/greedy", lr, {"w.json": name})
        sets = {
            "x<y": measured({"fd[digits]": value}, content=name, replicates=[value - 0.1, value + 0.1]),
            "alike": measured({"fd[digits]": 3.0}, replicates=[2.9, 3.1]),
        }
        evaluation(run, sets)
        likelihoods(run, {"raster": [value, value]})
    return str(tmp_path / "results" / "a"), str(tmp_path / "results" / "b")


def test_the_tables_say_what_differs(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "models.greedy.train.lr 0.0005 → 0.001" in lines
    assert "evaluations.e: fd[digits], adm, lower is better" in lines
    assert "x<y 3.50 4.00 +0.50 +0.50 to +0.50 worse images, paired" in lines
    assert "evaluations.e: the very same in both: alike" in lines
    assert "any, raster 3.500 4.000 +0.500 +0.500 to +0.500 worse images, paired" in lines
    assert "models 1 0 10 s 10 s" in lines
    assert "other by its recipe: seed-0/models/greedy" in lines


def test_json_tells_the_same_to_programs(runs: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs, "--json"]) == 0
    found = told(capsys.readouterr().out)
    assert found["changes"] == [{"option": "models.greedy.train.lr", "a": 5e-4, "b": 1e-3}]
    (first, *_) = found["numbers"]
    assert (first["entry"], first["measure"], first["convention"]) == ("evaluations.e", "fd[digits]", "adm")
    (row,) = first["rows"]
    assert (row["name"], row["difference"], row["verdict"]) == ("x<y", 0.5, "worse")
    assert (row["low"], row["high"]) == pytest.approx((0.5, 0.5))
    assert [one["table"] for one in found["work"]] == ["models", "evaluations", "information"]


def test_the_page_is_whole_and_asks_nothing_of_the_network(runs: tuple[str, str], tmp_path: Path) -> None:
    assert main(["compare", *runs, "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.rstrip().endswith("</html>")
    assert "http" not in page.replace('http-equiv="Content-Security-Policy"', "")
    assert "x&lt;y" in page
    assert "x<y" not in page
    assert ">worse</span>" in page
    assert "+0.50 to +0.50" in page


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["results/a", "results/bb"], "results/bb: no such folder; did you mean 'b'?"),
        (["results", "results/b"], "results: nothing finished in it; name the results of a book"),
        (["results/a", "results/b", "--out", "page"], "--out page: expected the name of a page"),
    ],
)
def test_a_users_mistake_is_one_line(
    runs: tuple[str, str],
    words: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(Path(runs[0]).parent.parent)
    assert main(["compare", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_runs_that_cannot_be_compared_are_told_apart_all_the_same_with_status_2(
    runs: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for run, tokens in (("c", "t"), ("d", "u")):
        likelihoods(tmp_path / run, {"raster": [1.0, 2.0]}, tokens=tokens)
    assert main(["compare", str(tmp_path / "c"), str(tmp_path / "d")]) == 2
    captured = capsys.readouterr()
    assert (
        "information.i: not compared, of different tokens, tttttttttttt and uuuuuuuuuuuu: nll" in captured.out
    )
    assert "no number of" in captured.err


def test_it_does_without_torch(runs: tuple[str, str]) -> None:
    code = f"import sys; from oarpipe.cli import main; main(['compare', {runs[0]!r}, {runs[1]!r}, '--json'])"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
