"""What a stage tells while it works."""

import logging
from pathlib import Path

import pytest

from oarpipe.base import log
from oarpipe.base.log import MetricsLog, progress, progress_line, read_metrics


def test_a_progress_line_says_what_how_far_and_how_long() -> None:
    assert progress_line("any", "steps", 400, 1000, 0.1333) == "any: 400/1000 steps, 40%, 1:20 left"
    assert progress_line("any", "steps", 7, None, 1.0) == "any: 7 steps"


def test_without_a_terminal_progress_is_whole_lines_and_counts_what_was_done_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level(logging.INFO, logger="oarpipe"):
        assert list(progress(range(2), "any", done=8, unit="steps")) == [0, 1]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "any: 9/10 steps",
        "any: 10/10 steps",
    ]


def test_metrics_drop_what_a_resumed_run_does_again_and_a_line_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    first = MetricsLog(file)
    for step in (10, 20, 30):
        first.write(step, loss=1.0 / step)
    with file.open("a") as out:
        out.write('{"step": 40, "lo')
    MetricsLog(file, first_step=20).write(20, loss=0.5)
    assert [(row["step"], row["loss"]) for row in read_metrics(file)] == [(10, 0.1), (20, 0.5)]


@pytest.mark.parametrize("damage", [b"\xff\xfe", b"\0\0\0", b'{"stfp": 20}', b"20"])
def test_metrics_end_at_a_line_that_is_damaged(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 10}\n' + damage + b'\n{"step": 30}\n')
    assert read_metrics(file) == [{"step": 10}]
    MetricsLog(file, first_step=40).write(40)
    assert [row["step"] for row in read_metrics(file)] == [10, 40]
