"""Counts the answers to a preference study: win rates with intervals, tests, and who was left out."""

import json as plain
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.files import read_json, write_json, write_text
from oarpipe.errors import BadInput, IncompleteData

if TYPE_CHECKING:
    from oarpipe.metrics.preference import Rate
    from oarpipe.study.tally import Split, Tally


def tally(
    *answers: str,
    study: Path | None = None,
    out: Path | None = None,
    fastest: float = 1.0,
    lapses: int = 0,
    replicates: int = 4000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Prints how often the first set was preferred: overall, by class, by pair; `--out` also writes it.

    oarpipe tally answers/ --study studies/greedy --out studies/greedy/tally
    oarpipe tally answers-*.json --json

    The interval of the whole resamples participants and pairs. Files that are damaged or of another study,
    and participants who were too fast, failed an attention check, did not finish or always took one side,
    are left out and listed.
    """
    from oarpipe.study.answers import Rules, files_in, gather
    from oarpipe.study.page import render_tally
    from oarpipe.study.tally import tally as counted

    if replicates < 100 or fastest < 0 or lapses < 0:
        raise BadInput("--replicates is at least 100; --fastest and --lapses are not below 0")
    key = _key(study) if study else None
    gathered = gather(files_in(map(Path, answers)), Rules(fastest, lapses), key)
    made = counted(gathered, key, replicates=replicates, seed=seed)
    print(plain.dumps(made.facts(), indent=1) if json else "\n".join(_table(made)))
    if out is not None:
        write_json(out / "tally.json", made.facts())
        write_text(out / "tally.html", render_tally(made))


def _key(study: Path) -> dict[str, Any]:
    """A study's key; `IncompleteData` where the folder has none."""
    file = study / "study.json" if study.is_dir() else study
    key = read_json(file)
    needed = {"fingerprint", "pairs", "checks", "repeats", "sets", "classes"}
    if not isinstance(key, dict) or not needed <= set(key):
        raise IncompleteData(f"{file}: not the key of a study; name a folder that `oarpipe study` wrote")
    return key


def _table(made: "Tally") -> Iterator[str]:
    first, second = made.names
    yield f"study {made.study}: {first} against {second}"
    yield f"participants that count: {made.participants}; files left out: {len(made.left_out)}"
    yield from (f"  {one.file}: {one.reason}" for one in made.left_out)
    yield ""
    yield f"{first} preferred: {_rate(made.overall).strip()}; {made.verdict}"
    yield f"  pairs         {_split(made.by_pair)}"
    yield f"  participants  {_split(made.by_participant)}"
    yield f"  the left picture was chosen in {made.went_left.value:.1%} of {made.went_left.count} answers"
    if made.same_again:
        yield f"  the same was chosen again in {made.same_again.value:.1%} of {made.same_again.count} repeats"
    yield f"  {made.seconds:.1f} s a pair (the median)"
    if made.classes:
        yield "\nby class, the pairs taken as they are"
    for one in made.classes:
        yield f"  {one.name:<22}{one.pairs:>4} pairs  {_rate(one.rate)}"
    yield "\nby pair"
    for pair in made.pairs:
        mark = "  *" if pair.decided else ""
        yield f"  {pair.item:<6}{pair.caption:<28}{_rate(pair.rate)}  {_p(pair.p)}{mark}"
    yield "  * still decided when 5 % of the pairs so marked may be marked by chance (Benjamini-Hochberg)"


def _rate(rate: "Rate") -> str:
    interval = f"[{rate.interval[0]:.1%}, {rate.interval[1]:.1%}]" if rate.interval else "no interval"
    return f"{rate.value:7.2%}  {interval}"


def _split(split: "Split") -> str:
    even = f", {split.even} even" if split.even else ""
    return (
        f"{split.ahead} of {split.ahead + split.behind + split.even} for it, "
        f"{split.behind} against{even}; sign test, {_p(split.p)}"
    )


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
