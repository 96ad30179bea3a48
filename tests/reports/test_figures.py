"""Charts belong to the page: its colours, no address, no markup from names."""

import re

import numpy as np

from oarpipe.reports.figures import Dot, Line, band, curves, dots, histogram


def every() -> list[str]:
    values = np.random.default_rng(0).normal(3, 0.3, 50).astype(np.float32)
    lines = [
        Line("a $x_1$ <script>", [1.0, 2.0], [2.0, 1.0], "#9c5fd1"),
        Line("b", [1.0, 2.0], [1.0, 1.0], "#2b83c6", "--", "o"),
    ]
    return [
        curves(lines, x="step", y="loss", alt='"><script>'),
        dots(
            {"a": "one", "b": "two & <b>"},
            [Dot(0, 1.0, 0.9, 1.1, "#9c5fd1"), Dot(1, 2.0, 2.0, 2.0, "#2b83c6", True)],
            x="x",
            alt="a",
        ),
        histogram({"g": (values, "#9c5fd1")}, {"raster": 1.6}, x="d", alt="a"),
        band({"g": (values.reshape(5, 10), "#9c5fd1")}, x="step", y="score", alt="a"),
    ]


def test_charts_ask_for_nothing_and_carry_no_markup_of_names() -> None:
    for text in every():
        assert text.startswith("<svg")
        assert "http" not in text
        assert "<script" not in text
        assert "<style" not in text
        assert "<b>" not in text


def test_a_dollar_sign_in_a_name_is_a_dollar_sign() -> None:
    assert "a $x_1$" in every()[0]


def test_text_and_rules_take_the_pages_colours() -> None:
    for text in every():
        assert "currentColor" in text
        assert "var(--rule)" in text
        assert not re.search("#01020[34]|#040506", text)


def test_every_chart_says_what_it_shows() -> None:
    for text in every():
        assert 'role="img" aria-label="' in text


def test_the_same_numbers_draw_the_same_chart() -> None:
    assert every() == every()
