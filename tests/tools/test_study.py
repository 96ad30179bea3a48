"""The commands `study` and `tally`, from two sample sets to a verdict."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from oarpipe.cli import command, main, parser
from oarpipe.metrics.preference import findable
from tests.stages.ingredients import files
from tests.study.given import answer, samples, write

DOCS = Path(__file__).parents[2] / "docs" / "study.md"


@pytest.fixture
def sets(tmp_path: Path) -> list[str]:
    """Two sets that differ in their model."""
    return [str(samples(tmp_path, name)) for name in ("one", "two")]


def answered(folder: Path, key: dict[str, Any], chosen: str, participants: int) -> None:
    """Files of participants who all choose one set's pictures, and see what is whole."""
    for i in range(participants):
        given = [answer(one["item"], chosen) for one in key["pairs"]]
        given += [answer(one["item"], "whole", kind="check") for one in key["checks"]]
        given += [answer(k, chosen, kind="repeat", left="b") for k in range(key["repeats"])]
        write(folder, i, given, study=key["fingerprint"])


def test_a_study_is_a_page_and_its_key(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["study", *sets, "--out", str(out), "--pairs", "10"]) == 0
    assert set(files(out)) == {"study.html", "study.json"}
    told = capsys.readouterr().out
    assert "samples.one against samples.two" in told
    assert "model: one_model against two_model" in told
    assert "10 pairs, 2 attention checks, 2 repeats" in told
    assert "--consent FILE" in told
    rate = findable(30, 10)
    assert rate is not None
    assert f"30 participants x  10 pairs: {rate:.1%}, or {1 - rate:.1%}" in told


def test_the_same_command_gives_the_same_files(tmp_path: Path, sets: list[str]) -> None:
    for name in ("first", "second"):
        assert main(["study", *sets, "--out", str(tmp_path / "out" / name)]) == 0
    assert files(tmp_path / "out" / "first") == files(tmp_path / "out" / "second")


def test_without_a_folder_it_tells_what_could_be_found_and_writes_nothing(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(tmp_path)
    assert main(["study", *sets, "--participants", "1", "--pairs", "1", "--repeats", "0"]) == 0
    assert "1 participants x   1 pairs: none, however strong" in capsys.readouterr().out
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pairs", "0"], "--pairs 0: at least 1"),
        (["--checks", "-1"], "--checks -1: at least 0"),
        (["--participants", "0"], "--participants 0"),
        (["--spread", "0.7"], "--spread 0.7"),
        (["--compare", "modles"], "did you mean 'model'?"),
        (["--post", "example.org"], "--post example.org: not an address"),
        (["--consent", "missing.txt"], "--consent missing.txt: missing"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["study", *sets, "--out", str(tmp_path / "out"), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_every_command_in_the_documentation_is_one() -> None:
    lines = re.findall(r"^oarpipe .*|(?<=`)oarpipe \w+ [^`]+", DOCS.read_text(), flags=re.MULTILINE)
    assert len(lines) == 3
    for line in lines:
        verb, *words = shlex.split(line)[1:]
        parser(verb, command(verb)).parse_intermixed_args(words)


def test_answers_are_tallied_with_the_studys_names(
    tmp_path: Path, sets: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, sent = tmp_path / "out", tmp_path / "answers"
    main(["study", *sets, "--out", str(out), "--pairs", "10"])
    key = json.loads((out / "study.json").read_text())
    answered(sent, key, "b", 6)
    (sent / "notes.json").write_text("{")
    capsys.readouterr()
    words = ["tally", str(sent), "--study", str(out), "--out", str(out / "tally")]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "one against two" in told
    assert "participants that count: 6; files left out: 1" in told
    assert "notes.json: not JSON, or damaged" in told
    assert "one preferred: 0.00%" in told
    assert "class 3" in told
    assert set(files(out / "tally")) == {"tally.json", "tally.html"}
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((out / "tally" / "tally.json").read_text())


def test_without_the_study_answers_are_of_a_and_b(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(5):
        write(tmp_path, i, [answer(k, "ab"[k < 4]) for k in range(5)])
    assert main(["tally", *map(str, tmp_path.glob("*.json"))]) == 0
    told = capsys.readouterr().out
    assert "A preferred: 20.00%" in told
    assert "B is preferred" in told or "not distinguishable" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: no such file or folder"),
        ([], "no answer file"),
        ([".", "--replicates", "5"], "--replicates is at least 100"),
        ([".", "--study", "nowhere"], "nowhere: missing or broken"),
        ([".", "--study", "foreign.json"], "foreign.json: not the key of a study"),
    ],
)
def test_what_cannot_be_tallied_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "foreign.json").write_text("{}")
    write(tmp_path, 1, [answer(0, "a")])
    assert main(["tally", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
