"""The participants' page: self-contained, escaped, and the same for the same study."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.receipts import checked
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.study.answers import Gathered, LeftOut
from oarpipe.study.design import Design, design
from oarpipe.study.page import Words, blocks, facts, render, render_tally, shipped_consent, text_of
from oarpipe.study.tally import tally
from tests.reports.test_pages import HOSTILE, Page
from tests.study.given import samples
from tests.study.test_tally import choices

WORDS = {"title": "A study", "question": "Which?", "consent": "Yes?", "instructions": "Look.", "post": None}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """A study of six pairs, a check and a repeat."""
    root = tmp_path_factory.mktemp("sets")
    first, second = (checked(samples(root, name), "samples") for name in ("one", "two"))
    return design(first, second, compared=["model"], pairs=6, checks=1, repeats=1, seed=0)


def page_of(made: Design, *, classes: list[str] | None = None, **changes: Any) -> str:
    """The page with some words changed."""
    words = Words(**{**WORDS, **changes})
    return render(made, words, facts(made, words, classes))


def embedded(page: str) -> dict[str, Any]:
    """The study as the page's script reads it."""
    text = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, flags=re.DOTALL)
    assert text
    study: dict[str, Any] = json.loads(text[1])
    return study


def test_the_page_asks_for_nothing_outside_itself(made: Design) -> None:
    page = page_of(made)
    loads = [v for tag, name, v in Page(page).attributes if name in ("src", "href", "srcset", "action")]
    assert all(value.startswith("data:") for value in loads)
    assert not re.search(r"url\(|@import|https?://|document\.cookie", page)
    assert "default-src 'none'" in page
    assert "connect-src 'none'" in page


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://example.org/answers?study=1", "https://example.org"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_a_page_that_posts_may_reach_that_host_and_names_the_address(
    made: Design, address: str, origin: str
) -> None:
    page = page_of(made, post=address)
    assert f"connect-src {origin};" in page
    assert f'<span class="address">{address}</span>' in page
    assert embedded(page)["post"] == address


@pytest.mark.parametrize(
    "address",
    ["example.org", "ftp://example.org/", "https://", "https://a b/", "https://x;y/", "http://x:y/"],
)
def test_an_address_that_nothing_can_be_posted_to_is_refused(made: Design, address: str) -> None:
    with pytest.raises(BadInput, match=r"--post .*: not an address"):
        page_of(made, post=address)


def test_elements_close_in_turn_and_pictures_have_words(made: Design) -> None:
    assert Page(page_of(made)).open == []
    script = page_of(made).partition('id="study">')[2]
    assert ".alt = " in script


def test_words_and_names_are_text_never_markup(made: Design) -> None:
    texts = dict.fromkeys(("title", "question", "consent", "instructions"), f"{HOSTILE} & more")
    page = page_of(made, classes=[f"{HOSTILE}</script>"] * 5, **texts)
    assert HOSTILE not in page
    assert page.count("</script>") == 2
    assert embedded(page)["pairs"][0]["caption"] == f"{HOSTILE}</script>"


def test_the_page_says_no_sets_name(made: Design) -> None:
    page = page_of(made)
    assert "one_model" not in page
    assert set(embedded(page)["pairs"][0]["pictures"]) == {"a", "b"}


def test_classes_are_named_by_the_dataset(made: Design) -> None:
    names = ["ant", "bee", "cat", "dog", "elk"]
    shown = {one["caption"] for one in embedded(page_of(made, classes=names))["pairs"]}
    assert shown == set(names)
    assert embedded(page_of(made))["pairs"][0]["caption"].startswith("class ")
    with pytest.raises(BadInput, match="the dataset has 2 classes and the samples class"):
        page_of(made, classes=names[:2])


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2 defines it."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stand_out_in_the_light_and_in_the_dark(made: Design) -> None:
    roots = re.findall(r":root \{(.*?)\}", page_of(made), flags=re.DOTALL)
    assert len(roots) == 2
    for root in roots:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", root))
        pairs = [("ink", "page"), ("quiet", "page"), ("ink", "panel"), ("quiet", "panel"), ("on", "link")]
        for words, ground in pairs:
            dark, light = sorted(luminance(colours[name]) for name in (words, ground))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (words, ground)


def test_other_words_make_another_study(made: Design) -> None:
    keys = [facts(made, Words(**{**WORDS, "question": text}), None) for text in ("Which?", "Which?", "What?")]
    assert keys[0] == keys[1]
    assert keys[0]["fingerprint"] != keys[2]["fingerprint"]


def test_simple_markdown_becomes_headings_lists_and_paragraphs() -> None:
    found = blocks("# Title\nfirst\nline\n\n- one\n- two\n\n\nlast **one**\r\n")
    assert [(block.kind, block.lines) for block in found] == [
        ("heading", ["Title"]),
        ("paragraph", ["first line"]),
        ("list", ["one", "two"]),
        ("paragraph", ["last **one**"]),
    ]


def test_the_shipped_consent_says_what_is_recorded_and_that_one_may_stop() -> None:
    assert "What is recorded" in shipped_consent()
    assert "You can stop at any time" in shipped_consent()


def test_a_researchers_text_must_be_there_and_say_something(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes("Zürich".encode("latin-1"))
    for name, said in (("empty", "empty"), ("latin", "not text in UTF-8"), ("none", "missing")):
        with pytest.raises(IncompleteData, match=f"--consent .*{name}: .*{said}"):
            text_of(tmp_path / name, "consent")


def test_the_outcomes_page_is_whole_and_escapes_names_and_reasons() -> None:
    chosen = np.random.default_rng(0).random((8, 6)) < 0.8
    gathered = Gathered(choices(chosen).kept, [LeftOut(f"{HOSTILE}.json", "not JSON")])
    study = {
        "sets": {"a": {"name": HOSTILE}, "b": {"name": "two"}},
        "classes": {"0": HOSTILE},
        "pairs": [{"item": i, "label": 0} for i in range(6)],
    }
    made = tally(gathered, study, replicates=200, seed=0)
    page = render_tally(made)
    assert Page(page).open == []
    assert HOSTILE not in page
    assert f"{100 * made.overall.value:.2f} %" in page
    assert not re.search(r"url\(|@import|https?://", page)
