"""What ran, for how long, on what: an entry a recipe, to which every number of the page links."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from oarpipe.base.files import read_json
from oarpipe.base.receipts import RECEIPT, RUN, Receipt, read_receipt

if TYPE_CHECKING:
    from oarpipe.reports.results import Results


@dataclass(frozen=True)
class Run:
    """One carrying-out: its receipt, and the facts that stand beside it (seconds, machine, python)."""

    receipt: Receipt
    facts: dict[str, Any]

    @property
    def seconds(self) -> float:
        """Wall time; 0 where nobody wrote it down."""
        return float(self.facts.get("seconds", 0.0))


@dataclass(frozen=True)
class Made:
    """An entry of the book and its runs, one a seed."""

    anchor: str
    title: str
    recipe: str
    runs: Sequence[Run]

    @property
    def seconds(self) -> float:
        """Wall time over all seeds."""
        return sum(run.seconds for run in self.runs)


def anchor(*parts: str) -> str:
    """The page's id of an entry: table and name, and for searches the arm."""
    return "made-" + "-".join(parts)


def everything_made(results: "Results") -> list[Made]:
    """All entries in the order of the tables, ingredients before what they make."""
    grouped: dict[tuple[str, ...], list[Receipt]] = {}
    arms = {receipt.folder: content["arm"] for receipt, content in results.searches}
    for table, receipts in results.receipts.items():
        for receipt in receipts:
            features = receipt.folder / "features"
            if table == "evaluations" and (features / RECEIPT).is_file():
                grouped.setdefault((table, receipt.name, "features"), []).append(
                    read_receipt(features, table)
                )
            arm = (arms[receipt.folder],) if table == "searches" else ()
            grouped.setdefault((table, receipt.name, *arm), []).append(receipt)
    return [
        Made(
            anchor(*parts),
            f"{parts[0]}.{parts[1]}" + "".join(f" · {part}" for part in parts[2:]),
            yaml.safe_dump(receipts[0].recipe, sort_keys=False, allow_unicode=True),
            [Run(receipt, run_facts(receipt.folder)) for receipt in sorted(receipts, key=lambda r: r.seed)],
        )
        for parts, receipts in grouped.items()
    ]


def run_facts(folder: Path) -> dict[str, Any]:
    """What stands beside a receipt; empty if nothing does."""
    file = folder / RUN
    facts: dict[str, Any] = read_json(file) if file.is_file() else {}
    return facts


def machines(made: Sequence[Made]) -> list[str]:
    """The different machines, Pythons and thread counts that took part."""
    return machine_words(run.facts for one in made for run in one.runs)


def machine_words(facts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The different machines among the facts of runs."""
    said = [f"{f['machine']}, Python {f['python']}" for f in facts if "machine" in f and "python" in f]
    return list(dict.fromkeys(said))


def duration(seconds: float) -> str:
    """`3 min 26 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
