"""A real browser, for tests of pages: which one is here, and how it is started without a screen."""

import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)

needs_a_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(
        BROWSER is None, reason="no chromium, chromium-browser or google-chrome on this machine"
    ),
]


def opening(address: str, profile: Path, *flags: str) -> list[str]:
    """The command that opens a page without a screen; `profile` is a folder of its own to keep things in."""
    assert BROWSER is not None
    always = ["headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"]
    always += ["disable-background-networking", "disable-component-update", f"user-data-dir={profile}"]
    return [BROWSER, *(f"--{flag}" for flag in [*always, *flags]), address]
