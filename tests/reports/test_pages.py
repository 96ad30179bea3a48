"""The whole page: complete, self-contained, escaped, and without errors in a browser."""

import re
from html.parser import HTMLParser
from pathlib import Path

from oarpipe.config.models import ImportedModelConfig
from oarpipe.config.samples import SamplesConfig
from tests.reports.conftest import write_report
from tests.reports.tree import small_book

HOSTILE = "<script>alert('x')</script>"
VOID = {"meta", "link", "img", "input", "br", "path", "use"}


class Page(HTMLParser):
    """Every attribute of the page, and whether its elements close in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def test_the_page_asks_for_nothing_outside_itself(page: str) -> None:
    loads = [
        value
        for tag, name, value in Page(page).attributes
        if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster") and tag != "a"
    ]
    assert loads
    assert all(value.startswith(("data:", "#")) for value in loads)
    assert not re.search(r"url\((?!#)|@import|https?://", page)
    assert "default-src 'none'" in page


def test_elements_close_in_turn(page: str) -> None:
    assert Page(page).open == []


def test_every_link_within_the_page_has_its_target(page: str, three_seeds_page: str) -> None:
    for text in (page, three_seeds_page):
        attributes = Page(text).attributes
        targets = {value for _, name, value in attributes if name == "id"}
        links = {value[1:] for tag, name, value in attributes if tag == "a" and name == "href"}
        assert links <= targets


def test_every_picture_has_words_and_every_control_a_label(page: str) -> None:
    attributes = Page(page).attributes
    pictures = [value for tag, name, value in attributes if tag == "img" and name == "alt"]
    assert pictures
    assert all(pictures)
    assert '<label for="step">' in page


def test_the_page_names_its_features_and_says_that_they_are_not_fid(page: str) -> None:
    assert "not FID" in page
    assert "99.7 %" in page
    assert "1,437 images of the train split" in page


def test_one_seed_never_says_that_a_claim_holds(page: str) -> None:
    assert "on this seed: better" in page
    assert not re.search(r'class="chip[^"]*">(holds|does not hold)<', page)


def test_three_seeds_do(three_seeds_page: str) -> None:
    assert re.search(r'class="chip[^"]*">holds<', three_seeds_page)
    assert "t-interval" in three_seeds_page
    assert "on this seed" not in three_seeds_page


def test_what_goes_against_the_paper_is_said_at_the_top(page: str) -> None:
    head = page[: page.index('id="table"')]
    assert "Against the paper" in head
    assert "“Tuned on raster orders, annealed, sampled in raster order” is ahead" in head


def test_arms_that_were_not_run_are_said_to_be_not_run(page: str) -> None:
    assert "Not run here: “tuned on one fixed permutation" in page


def test_every_recipe_is_there_with_its_fingerprint(page: str) -> None:
    for name in (
        "models.greedy_annealed",
        "samples.any_random",
        "searches.best · any_random",
        "features.digits",
    ):
        assert f"<code>{name}</code>" in page
    assert page.count("<pre>") == 20  # five models, five sample sets, two searched arms, and one of all else


def test_names_and_titles_are_text_never_markup(tmp_path: Path) -> None:
    classes = [HOSTILE, '"><img src=x onerror=alert(1)>', *"23456789"]
    page = write_report(small_book(title=f"Digits {HOSTILE} & more"), tmp_path, classes=classes)
    assert HOSTILE not in page
    assert "onerror=alert(1)>" not in page.replace("&#34;", '"').replace("onerror=alert(1)&gt;", "")
    assert "<title>Digits &lt;script&gt;" in page
    tags = [tag for tag, name, _ in Page(page).attributes if name == "onerror"]
    assert tags == []


def test_a_report_without_likelihoods_searches_or_extractions_is_whole(tmp_path: Path) -> None:
    book = small_book()
    report = book.tables["reports"]["r"].model_copy(
        update={"information": None, "benchmark": None, "playbacks": 0}
    )
    evaluation = book.tables["evaluations"]["e"].model_copy(update={"searches": []})
    samples = {name: book.tables["samples"][name] for name in ("any_random", "any_greedy")}
    book.tables.update(reports={"r": report}, evaluations={"e": evaluation}, samples=samples, searches={})
    page = write_report(book, tmp_path)
    assert Page(page).open == []
    assert 'id="health"' not in page
    assert 'id="speed"' not in page
    assert "not searched" not in page


def test_the_machines_speed_has_a_section_where_the_report_names_a_benchmark(page: str) -> None:
    section = re.search(r'<section id="speed".*?</section>', page, flags=re.DOTALL)
    assert section
    assert "a machine, 1 thread" in section[0]
    assert 'href="#made-benchmarks-here"' in section[0]
    assert re.search(r"a goal</th>.*≥ 40.*41\.2.*held", section[0])
    assert len(re.findall("<details>", section[0])) == 1


def test_a_published_baseline_has_its_row_and_no_claims(page: str, tmp_path: Path) -> None:
    book = small_book()
    llamagen = {"kind": "llamagen", "tokens": "t", "weights": "c2i_L_256.pt"}
    raster = {"select": "follow", "order": {"kind": "rule", "name": "raster"}}
    baseline = SamplesConfig.model_validate({"model": "llamagen", "count": 40, "policy": raster})
    book.tables["models"]["llamagen"] = ImportedModelConfig.model_validate(llamagen)
    book.tables["samples"]["baseline"] = baseline
    longer = write_report(book, tmp_path)
    assert "Published: llamagen, LlamaGen’s weights (c2i_L_256.pt)." in longer
    assert "<code>samples.baseline</code>" in longer
    claim = "Greedy tuning beats the any-order model"
    assert longer.count(claim) == page.count(claim)


def test_a_base_of_which_nothing_can_be_compared_has_no_claims(page: str, tmp_path: Path) -> None:
    book = small_book()
    book.tables["models"]["lonely"] = book.tables["models"]["any"]
    book.tables["samples"]["lonely_random"] = book.tables["samples"]["any_random"].model_copy(
        update={"model": "lonely"}
    )
    longer = write_report(book, tmp_path)
    assert "<code>samples.lonely_random</code>" in longer
    assert "From the base" not in longer
