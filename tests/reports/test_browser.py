"""What a reader does with the page, done in a real browser: filter, sort, take along, enlarge, compare."""

import csv
import io
import json
import re
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.browser import needs_a_browser, opening
from tests.reports.tree import small_book

pytestmark = needs_a_browser

DRIVER = """
const $ = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const shown = (selector) => all(selector).filter((one) => !one.closest("[hidden]"));
const button = (words, within = document) =>
  [...within.querySelectorAll("button")].find((one) => one.textContent === words);
const saved = [];
URL.createObjectURL = (blob) => { saved.push(blob); return "data:,"; };
const column = (name) => all("#table tbody tr").map((row) => Number(row.cells[3].dataset.value));
const at = (sheet, x, y, type) => {
  const picture = sheet.querySelector("img");
  const { left, top, width, height } = picture.getBoundingClientRect();
  const pointerType = type === "pointermove" ? "mouse" : "touch";
  const place = { clientX: left + x * width, clientY: top + y * height };
  picture.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerType, ...place }));
};
const press = (key) =>
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const tell = (facts) => { document.body.dataset.told = JSON.stringify(facts); };
(async () => { BODY })().catch((error) => tell({ error: String(error) }));
"""


@pytest.fixture
def read(page: str, tmp_path: Path) -> Any:
    """Does with the page what a script says, and returns what the script `tell`s."""

    def drive(body: str, *, width: int = 1400, asked: str = "") -> Any:
        file = tmp_path / "page.html"
        file.write_text(page.replace("</body>", f"<script>{DRIVER.replace('BODY', body)}</script></body>"))
        flags = ["dump-dom", "virtual-time-budget=4000", f"window-size={width},900"]
        command = opening(file.as_uri() + asked, tmp_path, *flags)
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        told = re.search(r'<body[^>]* data-told="([^"]*)"', ran.stdout)
        assert told, ran.stderr
        return json.loads(unescape(told[1]))

    return drive


@pytest.fixture(scope="session")
def metrics(page_file: Path) -> dict[str, Any]:
    """The numbers behind the page."""
    sets: dict[str, Any] = json.loads(next(page_file.parent.parent.rglob("metrics.json")).read_text())["sets"]
    return sets


def test_a_browser_opens_the_page_without_a_console_error(page_file: Path, tmp_path: Path) -> None:
    flags = ["enable-logging=stderr", "v=0", "virtual-time-budget=2000", "dump-dom"]
    command = opening(page_file.as_uri(), tmp_path, *flags)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
    # The script ran: it gave every canvas the size of its pictures.
    drawn = re.findall(r"<canvas[^>]* width=\"(\d+)\"", ran.stdout)
    assert len(drawn) == 5
    assert all(int(width) > 300 for width in drawn)


def test_a_filter_leaves_the_found_arms_in_tables_pictures_and_playback(read: Any) -> None:
    told = read(
        """
        $("#find").value = "greedy annealed RANDOM";
        $("#find").dispatchEvent(new Event("input"));
        button("Show only these").click();
        const only = {
          rows: shown("#table tbody tr").map((row) => row.dataset.arm),
          pictures: shown("#samples [data-arm]").map((one) => one.dataset.arm),
          playback: shown("#playback [data-arm]").map((one) => one.dataset.arm),
          faint: new Set(all("#table svg [data-arm][hidden]").map((one) => one.dataset.arm)).size,
          words: $("#arms summary").textContent,
        };
        button("Show all").click();
        tell({ ...only, after: shown("#table tbody tr").length });
        """
    )
    assert told["rows"] == told["pictures"] == told["playback"] == ["greedy_annealed_random"]
    assert told["faint"] == 4
    assert told["words"] == "Arms: 1 of 5"
    assert told["after"] == 5


def test_the_address_tells_which_arms_are_shown_and_shows_them_when_opened(read: Any) -> None:
    arms = ["any_random", "greedy_annealed_random"]
    told = read(
        """
        const rows = shown("#table tbody tr").map((row) => row.dataset.arm);
        const words = $("#arms summary").textContent;
        $("#arms input[value=any_random]").click();
        const fewer = location.search;
        button("Show all").click();
        tell({ rows, words, fewer, all: location.search });
        """,
        asked=f"?arms={'+'.join([*arms, 'of_another_book'])}#table",
    )
    assert sorted(told["rows"]) == arms
    assert told["words"] == "Arms: 2 of 5"
    assert told["fewer"] == "?arms=greedy_annealed_random"
    assert told["all"] == ""


def test_an_address_of_no_arm_of_this_page_shows_all(read: Any) -> None:
    told = read('tell({ words: $("#arms summary").textContent });', asked="?arms=of_another_book")
    assert told["words"] == "Arms: all"


def test_a_column_sorts_best_first_then_worst_first_then_as_it_was(read: Any) -> None:
    told = read(
        """
        const before = column();
        const heads = all("#table thead tr:last-child th");
        const head = heads.find((one) => one.title === "fd[digits]");
        const after = [1, 2, 3].map(() => { head.querySelector("button").click(); return column(); });
        const accuracy = heads.find((one) => one.title === "accuracy");
        accuracy.querySelector("button").click();
        const i = heads.indexOf(accuracy);
        const shares = all("#table tbody tr").map((row) => Number(row.cells[i].dataset.value));
        const last = $("#table table").rows[7].textContent;
        tell({ before, after, shares, said: accuracy.getAttribute("aria-sort"), last });
        """
    )
    before = told["before"]
    assert told["after"] == [sorted(before), sorted(before, reverse=True), before]
    assert told["shares"] == sorted(told["shares"], reverse=True)
    assert told["said"] == "descending"
    assert "floor" in told["last"]


def test_a_table_is_saved_as_csv_with_unrounded_numbers_of_the_arms_shown(
    read: Any, metrics: dict[str, Any]
) -> None:
    text = read(
        """
        $("#arms input[value=any_greedy]").click();
        button("CSV", $("#table")).click();
        tell(await saved[0].text());
        """
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    named = {row["sampled in (detail)"]: row for row in rows}
    assert list(named)[-1] == ""  # the row of the floor
    del named[""]
    assert set(named) == set(small_book().tables["samples"]) - {"any_greedy"}
    for name, row in named.items():
        assert float(row["plain setting, fd[digits]"]) == metrics[name]["metrics"]["fd[digits]"]
        assert float(row["plain setting, recall"]) == metrics[name]["metrics"]["recall"]


def test_a_table_is_taken_along_as_markdown(read: Any) -> None:
    text = read(
        """
        const clipboard = { writeText: async (text) => saved.push(text) };
        Object.defineProperty(navigator, "clipboard", { value: clipboard });
        button("Markdown", $("#health > details:last-of-type")).click();
        tell(saved[0]);
        """
    )
    head, rule, *rows = text.strip().splitlines()
    assert head.startswith("| model | ")
    assert set(rule) <= set("|-: ")
    assert len(rows) == 5
    assert len({line.count("|") for line in (head, rule, *rows)}) == 1


def test_a_picture_is_enlarged_with_its_order_under_the_pointer_by_touch_and_by_keyboard(read: Any) -> None:
    told = read(
        """
        const lens = $(".lens");
        const sheet = $("#samples .pair[data-side='0'] .sheet");
        sheet.scrollIntoView();
        const count = () => lens.querySelectorAll("canvas").length;
        const look = () => ({ words: lens.innerText, canvases: count(), hidden: lens.hidden });
        at(sheet, 0.35, 0.75, "pointermove");
        const pointed = look();
        const marks = all(".mark").length;
        at(sheet, 0.05, 0.05, "pointerdown");
        const touched = look();
        sheet.focus({ focusVisible: true });
        ["ArrowRight", "ArrowRight", "ArrowDown"].forEach(press);
        const moved = look();
        press("Escape");
        tell({ pointed, marks, touched, moved, closed: lens.hidden });
        """
    )
    # Twenty of forty samples are shown, a class a column: column 3 of the second row is sample 13.
    assert told["pointed"] == {"words": "sample 13, class 3", "canvases": 2, "hidden": False}
    assert told["marks"] == 2
    assert told["touched"]["words"] == "sample 0, class 0"
    assert told["moved"]["words"] == "sample 12, class 2"
    assert told["closed"]


def test_two_arms_stand_side_by_side_with_their_paired_difference(read: Any, metrics: dict[str, Any]) -> None:
    told = read(
        """
        const read = (cell) => cell.dataset.value ?? cell.textContent;
        const look = () => all("#contest tbody tr").map((row) => [...row.cells].map(read));
        const choose = (id, words) => {
          const select = $(id);
          select.value = [...select.options].find((one) => one.textContent === words).value;
          select.dispatchEvent(new Event("change"));
        };
        choose("#left", "Tuned on raster orders, annealed, sampled in raster order, plain setting");
        choose("#right", "Not tuned, sampled in random order, plain setting");
        const first = look();
        const pictures = all("#contestants img").map((one) => one.alt);
        const maps = () => all("#contestants img").slice(2).map((one) => one.src);
        const own = maps();
        $("#blink").dispatchEvent(new PointerEvent("pointerdown"));
        const held = maps();
        $("#blink").dispatchEvent(new PointerEvent("pointerup"));
        const blinks = held[0] === own[1] && own[0] !== own[1] && maps()[0] === own[0];
        $("#swap").click();
        tell({ first, swapped: look(), pictures, blinks });
        """
    )
    left = metrics["raster_annealed_raster"]["metrics"]["fd[digits]"]
    right = metrics["any_random"]["metrics"]["fd[digits]"]
    name, *numbers, _, words = told["first"][0]
    assert name == "fd[digits]"
    assert [float(n) for n in numbers] == pytest.approx([left, right, left - right], rel=1e-6)
    assert words == "better" if left < right else "worse"
    swapped = told["swapped"][0]
    assert float(swapped[3]) == pytest.approx(right - left, rel=1e-6)
    assert {words, swapped[-1]} == {"better", "worse"}
    assert "raster" in told["pictures"][0]
    assert "not tuned, sampled in random order" in told["pictures"][1]
    assert told["blinks"]


def test_light_and_dark_are_chosen_by_a_button(read: Any) -> None:
    told = read(
        """
        const ground = () => getComputedStyle(document.body).backgroundColor;
        const look = () => [ground(), $("#theme").getAttribute("aria-label")];
        const looks = [];
        for (let i = 0; i < 3; i++) { $("#theme").click(); looks.push(look()); }
        tell(looks);
        """
    )
    assert [words for _, words in told] == ["Theme: light", "Theme: dark", "Theme: system"]
    light, dark = ([int(n) for n in re.findall(r"\d+", colour)] for colour, _ in told[:2])
    assert min(light) > 240
    assert max(dark) < 40


@pytest.mark.parametrize("width", [1400, 800, 390])
def test_nothing_but_tables_in_their_frames_is_wider_than_the_screen(read: Any, width: int) -> None:
    script = "const page = document.documentElement; tell([page.scrollWidth, page.clientWidth])"
    needed, given = read(script, width=width)
    assert needed <= given
