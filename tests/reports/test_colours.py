"""Text can be read, in the light and in the dark: contrast as WCAG 2.1 has it (success criterion 1.4.3)."""

import re
from importlib.resources import files

import pytest

PALETTE = dict(
    re.findall(
        r"--(\w+): light-dark\((#\w{6}, #\w{6})\)",
        (files("oarpipe.reports") / "templates" / "report.css").read_text(),
    )
)


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    low, high = sorted(luminance(colour) + 0.05 for colour in (one, other))
    return high / low


def test_black_on_white_is_the_greatest_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "panel"])
@pytest.mark.parametrize("text", ["ink", "quiet", "link", "for", "against", "open"])
def test_text_stands_out_from_its_ground(text: str, ground: str, theme: int) -> None:
    colours = {name: pair.split(", ")[theme] for name, pair in PALETTE.items()}
    assert contrast(colours[text], colours[ground]) >= 4.5
