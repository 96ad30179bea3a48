"""The stage `index`: digits once, images whenever they changed, and what cannot be used is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter

from oarpipe.base.receipts import checked
from oarpipe.config.datasets import DatasetConfig, DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.index import ImageIndex
from oarpipe.errors import BadInput
from oarpipe.stages.index import index
from tests.data.sources.pictures import class_tars, paint, paint_all


def recipe(kind: str = "folder", **options: Any) -> Recipe[DatasetConfig]:
    entry = {"kind": kind, "resolution": 8, **options}
    return Recipe("datasets", "images", 0, TypeAdapter(DatasetConfig).validate_python(entry))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paint_all(tmp_path / "pictures", {f"{c}/{i}.png": 40 * i for c in "ab" for i in range(3)})
    return tmp_path / "pictures"


def rejected(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "rejected.parquet").to_pylist()


def test_the_digits_are_indexed_and_split(tmp_path: Path) -> None:
    index(recipe("digits"), out=tmp_path)
    receipt = checked(tmp_path, "datasets")
    assert list(receipt.files) == ["index.parquet"]
    assert len(ImageIndex.read(tmp_path / "index.parquet").rows("test")) == 360


def test_indexing_digits_twice_is_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(recipe("digits"), out=tmp_path)
    text = (tmp_path / "receipt.json").read_text()
    monkeypatch.setattr("oarpipe.data.indexing.examine", lambda source: pytest.fail("indexed again"))
    index(Recipe("datasets", "images", 0, DigitsConfig(kind="digits", resolution=8)), out=tmp_path)
    assert (tmp_path / "receipt.json").read_text() == text


def to_folder(root: Path) -> dict[str, Any]:
    return {"kind": "folder", "path": str(root)}


def to_tar(root: Path) -> dict[str, Any]:
    for name, content in class_tars({f"{c}/{i}.JPEG": 40 * i for c in "ab" for i in range(3)}).items():
        (root / name).write_bytes(content)
    return {"kind": "tar", "path": str(root)}


def to_list(root: Path) -> dict[str, Any]:
    lines = [f"{path.relative_to(root)} {path.parent.name}" for path in sorted(root.rglob("*.png"))]
    (root / "list.txt").write_text("\n".join(lines))
    return {"kind": "list", "path": str(root / "list.txt")}


def to_captions(root: Path) -> dict[str, Any]:
    rows = [
        {"image": str(path.relative_to(root)), "captions": [f"{path.name} here", "and more"]}
        for path in sorted(root.rglob("*.png"))
    ]
    (root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {"kind": "captions", "path": str(root / "captions.jsonl")}


@pytest.mark.parametrize("arranged", [to_folder, to_tar, to_list, to_captions])
def test_every_kind_is_indexed_once_and_anew_when_an_image_is_added(
    folder: Path, tmp_path: Path, arranged: Callable[[Path], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, out = recipe(**arranged(folder)), tmp_path / "out"
    index(asked, out=out)
    first = checked(out, "datasets").digest
    with monkeypatch.context() as patch:
        patch.setattr("oarpipe.data.indexing.examine", lambda source: pytest.fail("indexed again"))
        index(asked, out=out)
    assert checked(out, "datasets").digest == first
    paint(folder / "b" / "9.png", 240)
    if asked.entry.kind == "tar":
        (folder / "c.tar").write_bytes((folder / "b.tar").read_bytes())
    arranged(folder)
    index(asked, out=out)
    assert checked(out, "datasets").digest != first
    assert len(ImageIndex.read(out / "index.parquet")) == (9 if asked.entry.kind == "tar" else 7)


def test_where_the_folder_lies_changes_no_digest(folder: Path, tmp_path: Path) -> None:
    digests = []
    for place in ("pictures", "moved"):
        folder = folder.rename(tmp_path / place)
        index(recipe(path=str(folder)), out=tmp_path / "out")
        digests.append(checked(tmp_path / "out", "datasets").digest)
    assert digests[0] == digests[1]


def test_a_dataset_without_images_loses_nothing(folder: Path, tmp_path: Path) -> None:
    index(recipe(path=str(folder)), out=tmp_path / "out")
    before = (tmp_path / "out" / "index.parquet").read_bytes()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="no such folder"):
        index(recipe(path=str(folder)), out=tmp_path / "out")
    assert (tmp_path / "out" / "index.parquet").read_bytes() == before


def test_a_corrupt_image_stops_the_stage_and_is_listed_with_the_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "1.png").write_bytes((folder / "a" / "1.png").read_bytes()[:40])
    (folder / "b" / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    with pytest.raises(BadInput, match=r"1 of 6 images are unusable, such as a/1\.png: not a readable image"):
        index(recipe(path=str(folder)), out=out)
    assert not (out / "receipt.json").exists()
    assert not (out / "index.parquet").exists()
    bad, ignored = rejected(out)
    assert (bad["path"], bad["ignored"]) == ("a/1.png", False)
    assert bad["reason"].startswith("not a readable image (")
    assert ignored == {"path": "b/notes.txt", "reason": "not an image by its name", "ignored": True}


@pytest.mark.parametrize(("allowed", "goes_on"), [(0.1, False), (0.2, True)])
def test_up_to_the_share_allowed_corrupt_images_are_left_out(
    folder: Path, tmp_path: Path, allowed: float, goes_on: bool
) -> None:
    (folder / "a" / "1.png").write_bytes(b"")
    asked, out = recipe(path=str(folder), max_rejected=allowed, test_every=3), tmp_path / "out"
    if not goes_on:
        with pytest.raises(BadInput, match=r"raise `max_rejected`, which is 0\.1"):
            index(asked, out=out)
        return
    index(asked, out=out)
    found = ImageIndex.read(out / "index.parquet")
    assert found.path == ["a/0.png", "a/2.png", "b/0.png", "b/1.png", "b/2.png"]
    assert found.sample_id.tolist() == [0, 1, 2, 3, 4]
    assert found.split == ["train", "test", "train", "train", "test"]  # as if the image were there
    assert set(checked(out, "datasets").files) == {"index.parquet", "rejected.parquet"}
    paint(folder / "a" / "1.png", 77)
    index(asked, out=out)  # mended, so it is looked at again
    assert len(ImageIndex.read(out / "index.parquet")) == 6


def test_nothing_but_corrupt_images_is_refused_whatever_share_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "x" / "a").mkdir(parents=True)
    (tmp_path / "x" / "a" / "1.png").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="1 of 1 images are unusable"):
        index(recipe(path=str(tmp_path / "x"), max_rejected=0.99), out=tmp_path / "out")


def test_captions_are_kept_beside_the_index(folder: Path, tmp_path: Path) -> None:
    (folder / "a" / "1.png").write_bytes(b"")
    out = tmp_path / "out"
    index(recipe(**to_captions(folder), max_rejected=0.5), out=out)
    assert "captions.parquet" in checked(out, "datasets").files
    table = pq.read_table(out / "captions.parquet")
    assert [str(field.type) for field in table.schema] == ["int64", "int16", "string"]
    paths = ImageIndex.read(out / "index.parquet").path
    assert table.to_pylist() == [
        {"sample_id": i, "caption": n, "text": text}
        for i, path in enumerate(paths)
        for n, text in enumerate([f"{Path(path).name} here", "and more"])
    ]
    assert len(paths) == 5
