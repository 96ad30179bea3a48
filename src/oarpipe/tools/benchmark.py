"""Times the walk against its oracle: ratios within one run on this machine."""

import json
from pathlib import Path
from typing import Any

from oarpipe.base.files import write_text


def benchmark(*, out: Path | None = None) -> None:
    """Prints a table of ratios; `out` keeps it, as Markdown (.md) or else as JSON.

    Random weights on a grid of 64 tokens; a few minutes.
    """
    from oarpipe.tools.timing import figures

    facts = figures()
    table = _table(facts)
    print(table)
    if out is not None:
        write_text(out, table if out.suffix == ".md" else json.dumps(facts, indent=1) + "\n")


def _table(facts: dict[str, Any]) -> str:
    """The facts as Markdown."""
    rows = [
        (
            key.replace("_", " "),
            ", ".join(f"{k}: {v:g}" for k, v in value.items()) if isinstance(value, dict) else value,
        )
        for key, value in facts.items()
    ]
    lines = ["| figure | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)]
    return "\n".join(lines) + "\n"
