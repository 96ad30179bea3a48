"""Weights are found here or brought from the hub, verified, and otherwise the user is told what to do."""

import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oarpipe.base.fetch import fetch
from oarpipe.config.weights import WeightsConfig
from oarpipe.errors import BadInput, IncompleteData

CONTENT = b"weights"
HASH = hashlib.sha256(CONTENT).hexdigest()
URL = "https://huggingface.co/owner/name/resolve/v2/sub/net.pt"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "net.pt"
    made.write_bytes(CONTENT)
    return made


def on_the_hub(**more: Any) -> WeightsConfig:
    return WeightsConfig(hub="owner/name", file="sub/net.pt", revision="v2", **more)


def give_client(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[Any, ...]]:
    """Puts a client in huggingface_hub's place that gives or raises `answer`; returns what it is asked."""
    asked = []

    def hf_hub_download(repo: str, name: str, *, revision: str) -> str:
        asked.append((repo, name, revision))
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=hf_hub_download))
    return asked


def test_a_local_file_is_itself(file: Path) -> None:
    assert fetch(WeightsConfig(path=str(file), sha256=HASH)) == file


def test_a_path_may_begin_at_home(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent))
    assert fetch(WeightsConfig(path="~/net.pt")) == file


def test_a_missing_file_and_a_folder_are_named_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"none\.pt: no such file; mend `weights\.path`"):
        fetch(WeightsConfig(path=str(tmp_path / "none.pt")))
    with pytest.raises(IncompleteData, match="a folder, expected a file of weights"):
        fetch(WeightsConfig(path=str(tmp_path)))


def test_another_hash_names_both_and_the_file(file: Path) -> None:
    with pytest.raises(IncompleteData) as caught:
        fetch(WeightsConfig(path=str(file), sha256="0" * 64))
    assert all(part in str(caught.value) for part in (HASH, "0" * 64, str(file), "weights.sha256"))


def test_the_hub_is_asked_for_file_and_revision_and_its_file_verified(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = give_client(monkeypatch, file)
    assert fetch(on_the_hub(sha256=HASH)) == file
    assert asked == [("owner/name", "sub/net.pt", "v2")]
    with pytest.raises(IncompleteData, match="0" * 64):
        fetch(on_the_hub(sha256="0" * 64))


def test_without_network_the_error_says_what_to_download_and_which_key_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give_client(monkeypatch, FileNotFoundError("cannot reach\nthe hub"))
    with pytest.raises(BadInput) as caught:
        fetch(on_the_hub())
    assert URL in str(caught.value)
    assert "cannot reach the hub" in str(caught.value)
    assert "weights: {path: /where/you/put/net.pt}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    give_client(monkeypatch, OSError(28, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        fetch(on_the_hub())


def test_without_the_client_the_error_names_the_extra_and_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BadInput) as caught:
        fetch(on_the_hub())
    assert "pip install 'oarpipe[hub]'" in str(caught.value)
    assert URL in str(caught.value)
