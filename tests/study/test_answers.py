"""Answer files are read with suspicion: what does not count is named, with its reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from oarpipe.errors import BadInput, IncompleteData
from oarpipe.study.answers import Gathered, Rules, files_in, gather
from tests.study.given import STUDY, answer, answers, write

KEY: dict[str, Any] = {
    "fingerprint": STUDY,
    "pairs": [{"item": i, "sample": i, "label": 0} for i in range(4)],
    "checks": [{"item": 4, "sample": 0, "label": 0}],
    "repeats": 1,
}


def whole(chosen: str = "a", **facts: Any) -> list[dict[str, Any]]:
    """All that the study asks: four pairs, a check, and the first pair again."""
    given = [answer(i, chosen, **facts) for i in range(4)]
    return [*given, answer(4, "whole", kind="check"), answer(0, chosen, kind="repeat", left="b")]


def gathered(folder: Path, *, study: dict[str, Any] | None = KEY, rules: Rules | None = None) -> Gathered:
    """What counts of a folder in which participant 1 is above suspicion."""
    write(folder, 1, whole())
    return gather(files_in([folder]), rules or Rules(), study)


def reason(found: Gathered) -> str:
    """Why the one file that is left out is."""
    assert [one.participant for one in found.kept] == [f"{1:016x}"]
    (one,) = found.left_out
    return one.reason


def test_a_whole_file_counts(tmp_path: Path) -> None:
    assert gathered(tmp_path).left_out == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON, or damaged"),
        ("", "not JSON, or damaged"),
        ("[" * 100_000, "not JSON, or damaged"),
        ("[1, 2]", "not answers to a study"),
        ('{"kind": "shopping list"}', "not answers to a study"),
        ("x" * 4_000_001, "larger than 4,000,000 bytes"),
    ],
)
def test_a_damaged_or_foreign_file_is_left_out(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "other.json").write_text(text)
    found = gathered(tmp_path)
    assert said in reason(found)
    assert found.left_out[0].file == str(tmp_path / "other.json")


def test_a_file_that_is_not_text_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_bytes(b"\x89PNG\xff\xfe")
    assert "not JSON, or damaged" in reason(gathered(tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"participant": "<script>"}, "participant: String should match pattern"),
        ({"format": 2}, "format"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"answers": [answer(0, "c")]}, "answers.0.chosen"),
        ({"answers": [answer(0, "whole")]}, "a pair shows a and b"),
        ({"answers": [answer(0, "a", kind="check", left="whole")]}, "a check shows degraded and whole"),
        ({"answers": [answer(0, "a", seconds=-1)]}, "answers.0.seconds"),
        ({"answers": [answer(0, "a", seconds="2")]}, "answers.0.seconds"),
        ({"answers": [answer(0, "a"), answer(0, "b")]}, "an item is answered twice"),
        ({"asked": 2, "answers": whole()}, "6 answers where 2 were asked for"),
    ],
)
def test_what_the_page_never_writes_is_left_out(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (tmp_path / "other.json").write_text(json.dumps(answers(2, whole()) | changes))
    assert said in reason(gathered(tmp_path))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (whole()[:3], "incomplete: 3 of 6 answers"),
        (whole(seconds=0.4), r"too fast: 0.40 s a pair"),
        ([*whole()[:4], answer(4, "degraded", kind="check"), whole()[5]], "failed 1 of 1 attention checks"),
    ],
)
def test_a_careless_participant_does_not_count(
    tmp_path: Path, given: list[dict[str, Any]], said: str
) -> None:
    write(tmp_path, 2, given, asked=6)
    assert said in reason(gathered(tmp_path))


def test_thresholds_are_the_researchers(tmp_path: Path) -> None:
    write(tmp_path, 2, [*whole(seconds=0.4)[:4], answer(4, "degraded", kind="check"), whole()[5]])
    assert len(gathered(tmp_path, rules=Rules(fastest=0.3, lapses=1)).kept) == 2


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_participant_who_always_takes_one_side_does_not_count(tmp_path: Path, side: str) -> None:
    other = {"a": "b", "b": "a"}
    lefts = ["a", "b"] * 5
    given = [answer(i, left if side == "left" else other[left], left=left) for i, left in enumerate(lefts)]
    fair = [answer(i, "a", left=left) for i, left in enumerate(lefts)]
    write(tmp_path, 1, fair)
    write(tmp_path, 2, given)
    assert f"always chose the {side} picture" in reason(gather(files_in([tmp_path]), Rules(), None))


def test_a_file_that_came_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path, 1, whole())
    (tmp_path / "z.json").write_text((tmp_path / f"answers-{1:016x}.json").read_text())
    assert "a second file of one participant, with the same answers as" in reason(gathered(tmp_path))


def test_two_files_of_one_participant_that_differ_are_both_left_out(tmp_path: Path) -> None:
    write(tmp_path / "x", 2, whole("a"))
    write(tmp_path / "y", 2, whole("b"))
    write(tmp_path, 1, whole())
    found = gather(files_in([tmp_path, tmp_path / "x", tmp_path / "y"]), Rules(), KEY)
    assert [one.participant for one in found.kept] == [f"{1:016x}"]
    assert len(found.left_out) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"study": "f" * 16}, "answers to another study"),
        ({"asked": 5, "answers": whole()[:5]}, "was asked 5 times, the study asks 6 times"),
        ({"answers": [*whole()[:3], answer(9, "a"), *whole()[4:]]}, "answers pair 9, which the study"),
        ({"answers": [*whole()[:3], answer(1, "a", kind="repeat"), *whole()[4:]]}, "repeats in place of"),
    ],
)
def test_answers_are_held_against_the_study(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (tmp_path / "other.json").write_text(json.dumps(answers(2, whole()) | changes))
    assert said in reason(gathered(tmp_path))


def test_answers_to_two_studies_are_refused_where_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, 2, whole(), study="f" * 16)
    with pytest.raises(BadInput, match=r"answers of 2 studies .*--study"):
        gathered(tmp_path, study=None)


def test_where_nobody_counts_the_first_reason_is_told(tmp_path: Path) -> None:
    file = write(tmp_path, 1, whole()[:2], asked=6)
    with pytest.raises(BadInput, match=f"none of 1 answer files counts; the first: {file}, incomplete"):
        gather([file], Rules(), KEY)


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match="no such file"):
        files_in([tmp_path / "nothing"])
    with pytest.raises(IncompleteData, match="no answer file"):
        files_in([tmp_path])
