"""Draws `rules.svg`, the order rules on a 6x6 grid: `python docs/images/rules.py` from the clone's root."""

from pathlib import Path

from oarpipe.base.grid import Grid
from oarpipe.orders.algebra import invert
from oarpipe.orders.rules import RULES, rule_order
from oarpipe.reports.gallery import order_colours

GRID = Grid(6, 6)
CELL, GAP, TITLE, COLUMNS = 24, 20, 22, 5
STYLE = (
    "text{font:11px system-ui,sans-serif;text-anchor:middle}.title{font-size:13px;text-anchor:start;"
    "fill:#1f2328}@media(prefers-color-scheme:dark){.title{fill:#e6edf3}}"
)


def drawing() -> str:
    """The picture as SVG: each cell says at which step it is filled, yellow early and violet late."""
    side = GRID.width * CELL
    names = [*RULES, "fixed_random"]
    rows = -(-len(names) // COLUMNS)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * (side + GAP) - GAP} '
        f'{rows * (side + TITLE + GAP) - GAP}" role="img" aria-label="The order rules on a 6x6 grid">',
        f"<style>{STYLE}</style>",
    ]
    for i, name in enumerate(names):
        row, column = divmod(i, COLUMNS)
        parts.append(f'<g transform="translate({column * (side + GAP)} {row * (side + TITLE + GAP)})">')
        parts.append(f'<text class="title" x="0" y="14">{name}</text>')
        parts += _cells(name)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def _cells(name: str) -> list[str]:
    order = rule_order(name, GRID, seed=0)[None]
    steps = invert(order)[0].tolist()
    colours = order_colours(order.numpy(), GRID)[0].reshape(-1, 3).tolist()
    cells = []
    for position, (step, (red, green, blue)) in enumerate(zip(steps, colours, strict=True)):
        x, y = position % GRID.width * CELL, position // GRID.width * CELL + TITLE
        ink = "#000" if red + green + blue > 330 else "#fff"
        cells.append(
            f'<rect x="{x}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" '
            f'fill="#{red:02x}{green:02x}{blue:02x}"/>'
            f'<text x="{x + CELL / 2 - 0.5:g}" y="{y + CELL / 2 + 3.5:g}" fill="{ink}">{step + 1}</text>'
        )
    return cells


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing())
