"""Answer files: what a participant's page wrote, read with suspicion, and which of them count.

A file that is damaged, foreign or of another study is left out and named with its reason, as is a
participant who was too fast, missed an attention check, did not finish or always took the same side.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from oarpipe.config.base import Strict
from oarpipe.errors import BadInput, IncompleteData

KIND = "oarpipe preference answers"
LARGEST = 4_000_000  # bytes; a thousand answers take 120,000
TELLING = 10  # answers on one side that are no accident: once in 500 participants who choose at random

Name = Literal["a", "b", "whole", "degraded"]
Hex = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class Answer(Strict):
    """One choice: of which item, what lay left, what was chosen, the seconds that the item was on screen."""

    item: int = Field(ge=0)
    kind: Literal["pair", "repeat", "check"]
    left: Name
    chosen: Name
    seconds: float = Field(ge=0, allow_inf_nan=False)
    changes: int = Field(ge=0)

    @model_validator(mode="after")
    def _names_what_it_shows(self) -> "Answer":
        shown = {"whole", "degraded"} if self.kind == "check" else {"a", "b"}
        if not {self.left, self.chosen} <= shown:
            raise ValueError(f"a {self.kind} shows {' and '.join(sorted(shown))}")
        return self

    @property
    def went_left(self) -> bool:
        """Whether the left picture was chosen."""
        return self.chosen == self.left


class Answers(Strict):
    """One participant's file; `asked` is how many answers a whole one has."""

    kind: Literal["oarpipe preference answers"]
    format: Literal[1]
    study: Hex
    participant: Hex
    asked: int = Field(ge=1)
    answers: list[Answer]

    @model_validator(mode="after")
    def _answers_each_thing_once(self) -> "Answers":
        if len({(answer.item, answer.kind) for answer in self.answers}) < len(self.answers):
            raise ValueError("an item is answered twice")
        if len(self.answers) > self.asked:
            raise ValueError(f"{len(self.answers)} answers where {self.asked} were asked for")
        return self

    def of(self, kind: str) -> list[Answer]:
        """The answers of one kind."""
        return [answer for answer in self.answers if answer.kind == kind]


@dataclass(frozen=True)
class Rules:
    """Whose answers count: at least so many seconds a pair (the median), at most so many failed checks."""

    fastest: float = 1.0
    lapses: int = 0


@dataclass(frozen=True)
class LeftOut:
    """A file that does not count, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Gathered:
    """The participants that count, and the files that do not."""

    kept: list[Answers]
    left_out: list[LeftOut]


def files_in(paths: Iterable[Path]) -> list[Path]:
    """The files named, and of folders all their .json files, each once and in order of name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob("*.json"))
        elif path.is_file():
            found.append(path)
        else:
            raise IncompleteData(f"{path}: no such file or folder; name answer files, or a folder of them")
    if not found:
        raise IncompleteData("no answer file: name files, or a folder with .json files in it")
    return list(dict.fromkeys(found))


def gather(files: Sequence[Path], rules: Rules, study: dict[str, Any] | None) -> Gathered:
    """Reads all files and sorts out what does not count; `BadInput` if studies are mixed or none is left."""
    left_out: list[LeftOut] = []
    read: dict[str, tuple[Path, Answers]] = {}
    contradicting: set[str] = set()
    for file in files:
        try:
            answers = read_answers(file)
        except IncompleteData as error:
            left_out.append(LeftOut(str(file), str(error)))
            continue
        known = read.get(answers.participant)
        if known is None:
            read[answers.participant] = (file, answers)
            continue
        differs = known[1] != answers
        if differs:
            contradicting.add(answers.participant)
        how = "other answers than" if differs else "the same answers as"
        left_out.append(LeftOut(str(file), f"a second file of one participant, with {how} {known[0]}"))
    if study is None:
        _check_one_study([answers for _, answers in read.values()])
    kept = []
    for file, answers in read.values():
        reason = _foreign(answers, study) or _fault(answers, rules)
        if answers.participant in contradicting:
            reason = "another file of this participant has other answers"
        if reason is None:
            kept.append(answers)
        else:
            left_out.append(LeftOut(str(file), reason))
    if not kept:
        first = f"; the first: {left_out[0].file}, {left_out[0].reason}" if left_out else ""
        raise BadInput(f"none of {len(files)} answer files counts{first}")
    return Gathered(kept, left_out)


def read_answers(file: Path) -> Answers:
    """One participant's file; `IncompleteData` says what is wrong with it, without naming it."""
    if file.stat().st_size > LARGEST:
        raise IncompleteData(f"larger than {LARGEST:,} bytes, so not an answer file")
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text)
    except OSError as error:
        raise IncompleteData(f"cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise IncompleteData("not JSON, or damaged") from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise IncompleteData("JSON, but not answers to a study of oarpipe")
    try:
        return Answers.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise IncompleteData(f"not as the page writes it: {place}: {first['msg']}") from error


def _check_one_study(read: Sequence[Answers]) -> None:
    studies = sorted({answers.study for answers in read})
    if len(studies) > 1:
        raise BadInput(f"answers of {len(studies)} studies ({', '.join(studies)}); say which with --study")


def _foreign(answers: Answers, study: dict[str, Any] | None) -> str | None:
    """Why the answers are not to this study."""
    if study is None:
        return None
    if answers.study != study["fingerprint"]:
        return f"answers to another study ({answers.study})"
    asked = len(study["pairs"]) + len(study["checks"]) + study["repeats"]
    if answers.asked != asked:
        return f"was asked {answers.asked} times, the study asks {asked} times"
    known = {"pair": study["pairs"], "repeat": study["pairs"], "check": study["checks"]}
    for answer in answers.answers:
        if answer.item not in {one["item"] for one in known[answer.kind]}:
            return f"answers {answer.kind} {answer.item}, which the study does not have"
    if len(answers.answers) == asked and len(answers.of("pair")) < len(study["pairs"]):
        return "answers repeats in place of pairs"
    return None


def _fault(answers: Answers, rules: Rules) -> str | None:
    """Why a participant does not count, if so."""
    given = len(answers.answers)
    if given < answers.asked or not answers.of("pair"):
        return f"incomplete: {given} of {answers.asked} answers"
    failed = sum(answer.chosen == "degraded" for answer in answers.of("check"))
    if failed > rules.lapses:
        return f"failed {failed} of {len(answers.of('check'))} attention checks"
    seconds = median(answer.seconds for answer in answers.of("pair"))
    if seconds < rules.fastest:
        return f"too fast: {seconds:.2f} s a pair (the median), at least {rules.fastest:g} are asked for"
    lefts = sum(answer.went_left for answer in answers.answers)
    if given >= TELLING and lefts in (0, given):
        return f"always chose the {'left' if lefts else 'right'} picture"
    return None
