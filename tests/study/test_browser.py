"""A study answered in a real browser by keyboard, and what comes back, tallied.

A script added to a copy of the page presses the keys; the page itself is what participants get. Answers are
posted to a server here, which also takes the script's own report.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from oarpipe.cli import main
from tests.browser import needs_a_browser, opening
from tests.study.given import samples

pytestmark = needs_a_browser
PATIENCE = 120  # seconds

DRIVER = """
const visible = () => [...document.querySelectorAll("main > section")].find((s) => !s.hidden).id;
const wait = async (test) => { while (!test()) await new Promise((done) => setTimeout(done, 20)); };
const type = (facts) => document.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, ...facts }));
const press = (name) => type({ key: name });
const count = () => document.getElementById("count").textContent;
const answer = async (name) => {
  const before = count();
  await wait(() => { press(name); return count() !== before || visible() !== "pair"; });
};
const kept = () => Object.keys(localStorage).length;
const report = (facts) => fetch("REPORT", { method: "POST", body: JSON.stringify(facts) });
const saved = [];
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { saved.push(blob); return make(blob); };
(async () => { BODY })();
"""


class Server(ThreadingHTTPServer):
    """Takes what is posted to /answers (with `status`) and to /report."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.status = 204
        self.posted: Queue[tuple[str, str]] = Queue()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Taker(BaseHTTPRequestHandler):
    """One request."""

    server: Server

    def do_POST(self) -> None:
        """Keeps the body; answers as a server does that allows any page to post."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(self.server.status if self.path == "/answers" else 204)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.server.posted.put((self.path, body))

    def log_message(self, *facts: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine, for the length of a test."""
    made = Server()
    thread = Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def study(tmp_path: Path, server: Server) -> Path:
    """A study of six pairs, two checks and two repeats, whose answers are posted."""
    sets = [str(samples(tmp_path, name)) for name in ("one", "two")]
    out = tmp_path / "study"
    assert (
        main(["study", *sets, "--out", str(out), "--pairs", "6", "--post", f"{server.address}/answers"]) == 0
    )
    return out


def browse(study: Path, server: Server, body: str) -> dict[str, Any]:
    """Opens a copy of the page with a script that does `body`; returns what it reports."""
    script = DRIVER.replace("BODY", body).replace("REPORT", f"{server.address}/report")
    copy = study / "driven.html"
    copy.write_text(
        (study / "study.html").read_text().replace("</body>", f"<script>{script}</script></body>")
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = opening(copy.as_uri(), study / "profile")
    browser = subprocess.Popen(command, start_new_session=True, **quiet)  # type: ignore[call-overload]
    try:
        posted = []
        while not posted or posted[-1][0] != "/report":
            posted.append(server.posted.get(timeout=PATIENCE))
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        browser.wait()
    facts: dict[str, Any] = json.loads(posted[-1][1])
    return {**facts, "posted": [text for path, text in posted if path == "/answers"]}


CHOOSE_WHOLE_AND_A = """
  document.getElementById("agree").click();
  while (visible() === "pair") {
    const { left } = participant.plan[at];
    await answer(left === "a" || left === "whole" ? "ArrowLeft" : "ArrowRight");
  }
"""


def test_a_study_is_answered_by_keyboard_posted_and_tallied(
    study: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    body = (
        CHOOSE_WHOLE_AND_A
        + """
      await wait(() => document.getElementById("outcome").textContent.includes("were sent"));
      report({ end: visible(), plan: participant.plan });
    """
    )
    seen = browse(study, server, body)
    assert seen["end"] == "end"
    (text,) = seen["posted"]
    (study / "answers").mkdir()
    (study / "answers" / "one.json").write_text(text)
    capsys.readouterr()
    words = ["tally", str(study / "answers"), "--study", str(study), "--fastest", "0", "--json"]
    assert main(words) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["participants"] == 1
    assert facts["left_out"] == []
    assert facts["overall"]["value"] == 1.0
    assert facts["overall"]["count"] == 6
    assert facts["went_left"]["value"] == 0.5
    assert facts["same_again"] == {"value": 1.0, "count": 2, "interval": None}


def test_a_plan_shows_every_pair_once_and_repeats_swapped_and_later(study: Path, server: Server) -> None:
    body = """report({ plans: Array.from({ length: 200 }, () => planned()) });"""
    plans = browse(study, server, body)["plans"]
    assert len({json.dumps(plan) for plan in plans}) > 150
    for plan in plans:
        pairs = [one for one in plan if one["kind"] == "pair"]
        assert sorted(one["item"] for one in pairs) == list(range(6))
        assert sum(one["left"] == "a" for one in pairs) == 3
        assert plan[0]["kind"] != "check"
        assert sorted(one["item"] for one in plan if one["kind"] == "check") == [6, 7]
        place = {one["item"]: i for i, one in enumerate(plan) if one["kind"] == "pair"}
        repeats = [(i, one) for i, one in enumerate(plan) if one["kind"] == "repeat"]
        assert len(repeats) == 2
        for i, one in repeats:
            first = plan[place[one["item"]]]
            assert place[one["item"]] < i
            assert {first["left"], one["left"]} == {"a", "b"}
    lefts = [one["left"] for plan in plans for one in plan if one["item"] == 0 and one["kind"] == "pair"]
    assert 60 < lefts.count("a") < 140  # 100, give or take six standard errors


def test_who_declines_leaves_no_trace(study: Path, server: Server) -> None:
    body = """
      document.getElementById("decline").click();
      press("ArrowLeft");
      report({ state: visible(), kept: kept(), participant, cookie: document.cookie });
    """
    seen = browse(study, server, body)
    assert seen == {"state": "declined", "kept": 0, "participant": None, "cookie": "", "posted": []}


def test_who_stops_has_the_answers_deleted(study: Path, server: Server) -> None:
    body = """
      document.getElementById("agree").click();
      await answer("ArrowLeft");
      const before = kept();
      document.getElementById("withdraw").click();
      document.getElementById("delete").click();
      report({ state: visible(), before, kept: kept(), participant });
    """
    seen = browse(study, server, body)
    assert seen == {"state": "deleted", "before": 1, "kept": 0, "participant": None, "posted": []}


def test_a_reload_loses_nothing_and_going_back_changes_an_answer(study: Path, server: Server) -> None:
    body = """
      if (!participant) {
        document.getElementById("agree").click();
        for (let i = 0; i < 3; i++) await answer("ArrowLeft");
        location.reload();
        return;
      }
      const resumed = count();
      const first = participant.answers.map(({ chosen }) => chosen);
      await answer("Backspace");
      const back = count();
      await answer("ArrowRight");
      const [, , third] = participant.answers;
      report({ resumed, back, again: count(), first, third, plan: participant.plan.slice(0, 3) });
    """
    seen = browse(study, server, body)
    assert (seen["resumed"], seen["back"], seen["again"]) == ("4 of 10", "3 of 10", "4 of 10")
    assert seen["first"] == [one["left"] for one in seen["plan"]]
    assert seen["third"]["chosen"] != seen["plan"][2]["left"]
    assert seen["third"]["changes"] == 1


def test_where_posting_fails_the_answers_are_saved_as_a_file(study: Path, server: Server) -> None:
    server.status = 500
    body = (
        CHOOSE_WHOLE_AND_A
        + """
      await wait(() => !document.getElementById("save").hidden);
      const told = document.getElementById("outcome").textContent;
      document.getElementById("save").click();
      report({ told, file: await saved[0].text(), after: document.getElementById("outcome").textContent });
    """
    )
    seen = browse(study, server, body)
    assert "could not be sent" in seen["told"]
    assert json.loads(seen["file"]) == json.loads(seen["posted"][0])
    name = json.loads(seen["file"])["participant"]
    assert f"answers-{name}.json" in seen["after"]


def test_held_keys_and_shortcuts_choose_nothing(study: Path, server: Server) -> None:
    body = """
      document.getElementById("agree").click();
      await wait(() => performance.now() - since > 400);
      for (const facts of [{ repeat: true }, { altKey: true }, { ctrlKey: true }]) {
        type({ key: "ArrowLeft", ...facts });
      }
      const held = count();
      press("ArrowLeft");
      press("ArrowLeft");
      report({ held, pressed: count(), answers: participant.answers.length });
    """
    seen = browse(study, server, body)
    assert (seen["held"], seen["pressed"], seen["answers"]) == ("1 of 10", "2 of 10", 1)
