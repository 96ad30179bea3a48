"""A benchmark as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Found = Mapping[str, Any]


def page(facts: Found) -> str:
    """The whole page."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: Found) -> Iterator[str]:
    machine = facts["machine"]
    yield "<!-- written by `oarpipe benchmark`; run it again instead of editing this page -->"
    yield ""
    yield "# Benchmarks"
    yield ""
    yield (
        f"{machine['name']}; {machine['threads']} thread{'s' * (machine['threads'] > 1)}, "
        f"torch {machine['torch']}, Python {machine['python']}. Models of random weights. Everything within "
        "a section was measured in turn, A B A B; times are medians, with the fastest and the slowest."
    )
    yield ""
    yield (
        "The floor of a row is the larger of two: its arithmetic, in closed form, at the rate of a large "
        "matrix product measured right before its runs; and the bytes it must read (every step's "
        "weights, and the keys and values before it) at the bandwidth measured. Where weights fit a "
        "processor's cache they are read faster than that, so that the time may fall below such a floor."
    )
    yield from _goals(facts["goals"])
    yield from _machine(machine)
    for name, section in facts["sections"].items():
        yield from ("", f"## {section['title']}", "", f"{section['about']} {_of(section)}".strip(), "")
        yield from _section(name, section)
    yield from _peers(facts["peers"])


def _of(section: Found) -> str:
    rates = section.get("gemm_gflops", {})
    told = ", ".join(f"{rate:g} GFLOP/s ({precision})" for precision, rate in rates.items())
    return f"{section['model']}." + (f" Large products meanwhile: {told}." if told else "")


def _section(name: str, section: Found) -> Iterator[str]:
    if name == "memory":
        yield from _memory(section)
    elif name == "profile":
        yield from _profile(section)
    else:
        yield from _rows(section["rows"])


def _rows(rows: Sequence[Found]) -> Iterator[str]:
    yield from _table(
        "", "together", "precision", "a second", "seconds", "floor, s", "over it", "floor set by"
    )
    for row in rows:
        spread = f" ({number(row['fastest'])} to {number(row['slowest'])})" if row["runs"] > 1 else ""
        floor = (
            [number(row["floor"]), f"{number(row['over_floor'])} x", row["bound"]]
            if "floor" in row
            else [""] * 3
        )
        name = f"{row['name']} (sampled: {row['note']})" if row["note"] else row["name"]
        yield _cells(
            name,
            f"{row['count']} {row['unit']}",
            row["precision"],
            number(row["per_second"]),
            number(row["seconds"]) + spread,
            *floor,
        )


def _goals(goals: Sequence[Found]) -> Iterator[str]:
    if not goals:
        return
    yield from ("", "## Goals", "")
    yield from _table("goal", "wanted", "measured", "")
    for goal in goals:
        limit = f" (arithmetic's own limit: {goal['limit']:.3g})" if goal["limit"] else ""
        yield _cells(
            goal["text"] + limit,
            f"{'at most' if goal['at_most'] else 'at least'} {goal['wanted']:g}",
            number(goal["measured"]),
            "held" if goal["held"] else "**missed**",
        )


def _machine(machine: Found) -> Iterator[str]:
    yield from ("", "## The machine", "")
    yield from _table("", *machine["gemm_gflops"])
    side = machine["gemm_side"]
    rates = machine["gemm_gflops"].values()
    yield _cells(f"product of {side} x {side} with {side} x {side}, GFLOP/s", *map(number, rates))
    few = machine["few_rows_gflops"]
    for rows in next(iter(few.values())):
        yield _cells(
            f"the same of {rows} x 1024 with 1024 x 1024", *(number(rate[rows]) for rate in few.values())
        )
    yield ""
    yield (
        f"Memory is read at {machine['read_gb_per_second']:g} GB/s, and copied at "
        f"{machine['copy_gb_per_second']:g} (reads and writes together)."
    )


def _memory(section: Found) -> Iterator[str]:
    yield from _table("tokens", "images together", "peak, MiB", "closed form, MiB")
    for row in section["cases"]:
        yield _cells(
            str(row["positions"]), str(row["batch"]), number(row["peak_mib"]), number(row["predicted_mib"])
        )
    yield ""
    yield (
        f"Twice the images take {section['growth_per_doubled_batch']:g} times the memory; it grows with the "
        f"tokens to the power {section['exponent_in_positions']:g}."
    )


def _profile(section: Found) -> Iterator[str]:
    kinds = list(dict.fromkeys(kind for shares in section["shares"].values() for kind in shares))
    yield from _table("", *kinds)
    for path, shares in section["shares"].items():
        yield _cells(path, *(f"{shares.get(kind, 0.0):.0%}" for kind in kinds))


def _peers(peers: Sequence[Found]) -> Iterator[str]:
    yield from ("", "## What others published", "")
    yield "On other hardware, so no row compares with one above but by its ratio to what the hardware can do."
    yield ""
    columns = ("system", "steps", "batch", "figure", "unit", "hardware", "source")
    yield from _table(*columns)
    for peer in peers:
        yield _cells(*(peer[column] for column in columns))


def number(value: float) -> str:
    """Three digits, without an exponent."""
    shown = float(f"{value:.3g}")
    return f"{shown:,.0f}" if abs(shown) >= 100 else f"{shown:g}" if abs(shown) >= 1e-4 else f"{value:.1g}"


def _table(*heads: str) -> Iterator[str]:
    yield _cells(*heads)
    yield _cells(*("---" for _ in heads))


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
