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


def at_an_address(file: Path, name: str) -> WeightsConfig:
    """The same content under another name, at an address."""
    file.rename(file.with_name(name))
    return WeightsConfig(url=file.with_name(name).as_uri())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_address_is_downloaded_once_and_kept(file: Path, cache: Path) -> None:
    weights = at_an_address(file, f"net-{HASH[:8]}.pth")
    found = fetch(weights)
    assert (found.read_bytes(), found.name) == (CONTENT, f"net-{HASH[:8]}.pth")
    assert cache in found.parents
    file.with_name(found.name).unlink()
    assert fetch(weights) == found


def test_a_download_that_is_not_what_its_name_says_is_refused_and_leaves_nothing(
    file: Path, cache: Path
) -> None:
    weights = at_an_address(file, "net-00000000.pth")
    with pytest.raises(BadInput, match=r"net-00000000\.pth: could not be fetched \(invalid hash value"):
        fetch(weights)
    assert not [found for found in cache.rglob("*") if found.is_file()]


def test_an_address_that_does_not_answer_says_what_to_do_instead(tmp_path: Path, cache: Path) -> None:
    address = (tmp_path / "net.pth").as_uri()
    with pytest.raises(BadInput) as told:
        fetch(WeightsConfig(url=address))
    assert f"download net.pth from {address} and set `weights: {{path: /where/" in str(told.value)


@pytest.mark.parametrize(
    "given", [{}, {"path": "a", "url": "https://b/c"}, {"hub": "a/b"}, {"file": "a"}, {"url": "b/c"}]
)
def test_weights_lie_in_one_place(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"expected one of|should match pattern"):
        WeightsConfig(**given)


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
