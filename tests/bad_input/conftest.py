"""What mistakes and damage have in common: results to spoil, and how a refusal is told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from oarpipe.cli import main
from oarpipe.training import loop
from tests.stages.ingredients import SQUARE, real_model, real_tokenizer, tokens

TIME = re.compile(r"\d\d:\d\d:\d\d ")


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


@pytest.fixture
def line(tmp_path: Path) -> dict[str, Path]:
    """Results folders to spoil."""
    store = tokens(tmp_path / "tokens", grid=SQUARE)
    return {
        "tokens": store,
        "model": real_model(tmp_path / "any", store),
        "tokenizer": real_tokenizer(tmp_path / "tokenizer"),
    }


Refused = Callable[..., str]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a command that must be refused; returns the one line that is told."""

    def run(command: list[str]) -> str:
        capsys.readouterr()
        assert main(command) == 2
        *before, told = capsys.readouterr().err.splitlines()
        assert told.startswith("oarpipe: ")
        assert all(TIME.match(other) for other in before), before  # what the stage told while it worked
        return told.removeprefix("oarpipe: ")

    return run


def made(out: Path) -> list[Path]:
    """The files below a results folder, but for the word of how the attempt ended."""
    return [file for file in out.rglob("*") if file.is_file() and not file.name.startswith("ended")]


def half_written(out: Path) -> list[Path]:
    """Anything under a final name, and anything partial."""
    return [
        file
        for file in out.rglob("*")
        if ".partial" in file.name or (file.parent == out and file.name not in ("state", "metrics.jsonl"))
    ]
