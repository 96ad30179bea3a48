"""Makes a page that asks people which of two sample sets' pictures they prefer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oarpipe.base.files import write_json, write_text
from oarpipe.base.receipts import checked
from oarpipe.errors import BadInput

PAGE = "study.html"
KEY = "study.json"


def study(
    first: Path,
    second: Path,
    *,
    out: Path | None = None,
    pairs: int = 20,
    checks: int = 2,
    repeats: int = 2,
    compare: str = "model,policy",
    dataset: Path | None = None,
    title: str = "Which picture is better?",
    question: str = "Which picture looks better?",
    instructions: Path | None = None,
    consent: Path | None = None,
    post: str | None = None,
    participants: int = 30,
    spread: float | None = None,
    seed: int = 0,
) -> None:
    """Writes study.html, which opens from a disk and loads nothing, and study.json, its key for `tally`.

    cd results/digits
    oarpipe study seed-0/samples/greedy_annealed_greedy seed-0/samples/any_random --out studies/greedy
    oarpipe study A B --pairs 40 --participants 50      what that could find; nothing is written

    A pair is of one class and one seed; which side a set lies on, and the order of the pairs, is drawn for
    each participant. Checks show a picture beside its pixels in random places; repeats are pairs that come
    again with their sides swapped. docs/study.md says what is recorded.
    """
    from oarpipe.data.index import ImageIndex
    from oarpipe.study.design import design
    from oarpipe.study.page import INSTRUCTIONS, Words, facts, render, shipped_consent, text_of

    for name, number, least in (("pairs", pairs, 1), ("checks", checks, 0), ("repeats", repeats, 0)):
        if number < least:
            raise BadInput(f"--{name} {number}: at least {least}")
    made = design(
        checked(first, "samples"),
        checked(second, "samples"),
        compared=[name for name in compare.split(",") if name],
        pairs=pairs,
        checks=checks,
        repeats=repeats,
        seed=seed,
    )
    words = Words(
        title=title,
        question=question,
        consent=text_of(consent, "consent") if consent else shipped_consent(),
        instructions=text_of(instructions, "instructions") if instructions else INSTRUCTIONS,
        post=post,
    )
    index = ImageIndex.read(checked(dataset, "datasets").folder / "index.parquet") if dataset else None
    key = facts(made, words, index.classes if index else None)
    page = render(made, words, key)
    print("\n".join(_summary(key, made.alike)))
    print("\n".join(_power(participants, pairs, spread)))
    if out is None:
        return
    write_json(out / KEY, key)
    write_text(out / PAGE, page)
    print(
        f"\n{out / PAGE}: {len(page.encode()) / 1e6:.1f} MB, for participants; keep {KEY} for `oarpipe tally`"
    )
    if consent is None:
        print("Its consent is the shipped one, without your name; --consent FILE puts yours in its place.")


def _summary(key: dict[str, Any], alike: int) -> Iterator[str]:
    """What is compared, and what each participant is asked."""
    one, other = key["sets"]["a"], key["sets"]["b"]
    compared = f"samples.{one['name']} against samples.{other['name']}"
    yield f"study {key['fingerprint']}: {compared}, seed {one['seed']}"
    for name, (ours, theirs) in key["differences"].items():
        yield f"  {name}: {_said(ours, theirs)} against {_said(theirs, ours)}"
    counts = [(key["pairs"], "pairs"), (key["checks"], "attention checks")]
    asked = ", ".join(f"{len(items)} {what}" for items, what in counts)
    labels = {item["label"] for item in key["pairs"]}
    yield f"  {asked}, {key['repeats']} repeats; {len(labels)} classes, drawn with seed {key['seed']}"
    if alike:
        yield f"  {alike} pairs were passed over, because both sets show the same picture"


def _said(value: Any, other: Any) -> str:
    """An option's value; of several options, those that the other has not or has otherwise."""
    if not isinstance(value, dict):
        return str(value)
    theirs = other if isinstance(other, dict) else {}
    own = {name: one for name, one in value.items() if name not in theirs or theirs[name] != one}
    return ", ".join(f"{name} {_said(one, theirs.get(name))}" for name, one in own.items())


def _power(participants: int, pairs: int, spread: float | None) -> Iterator[str]:
    """What preference this design and its neighbours would find."""
    from oarpipe.metrics.percentiles import LEVEL
    from oarpipe.metrics.preference import POWER, SPREAD_OF_PAIRS, SPREAD_OF_PARTICIPANTS, findable

    assumed = SPREAD_OF_PAIRS if spread is None else spread
    if participants < 1 or not 0 <= assumed <= 0.5:
        raise BadInput(
            f"--participants {participants} --spread {assumed}: at least one, and a spread of 0 to 0.5"
        )
    yield ""
    yield f"true preference that is found with {POWER:.0%} power (a {LEVEL:.0%} interval without 50 %):"
    for people, shown in ((participants, pairs), (2 * participants, pairs), (participants, 2 * pairs)):
        rate = findable(people, shown, spread=assumed)
        found = f"{rate:.1%}, or {1 - rate:.1%}" if rate is not None else "none, however strong"
        yield f"  {people:>4} participants x {shown:>3} pairs: {found}"
    yield (
        f"  assumed: rates of pairs spread by {assumed:.2f} around the mean ({SPREAD_OF_PAIRS} in the "
        f"paper's printed table, less chance), those of participants by {SPREAD_OF_PARTICIPANTS}"
    )
