"""The stage `index`: digits once, a folder whenever it changed."""

from pathlib import Path

import pytest
from PIL import Image

from oarpipe.base.files import checked
from oarpipe.config.datasets import DatasetConfig, DigitsConfig, FolderConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.index import ImageIndex
from oarpipe.errors import BadInput
from oarpipe.stages.index import index


def recipe(entry: DatasetConfig) -> Recipe[DatasetConfig]:
    return Recipe("datasets", "images", 0, entry)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8), {"a": "red", "b": "blue"}[name[0]]).save(tmp_path / "pictures" / name)
    return tmp_path / "pictures"


def test_the_digits_are_indexed_and_split(tmp_path: Path) -> None:
    index(recipe(DigitsConfig(kind="digits")), out=tmp_path)
    receipt = checked(tmp_path, "datasets")
    assert list(receipt.files) == ["index.parquet"]
    assert len(ImageIndex.read(tmp_path / "index.parquet").rows("test")) == 360


def test_indexing_digits_twice_is_the_same_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index(recipe(DigitsConfig(kind="digits")), out=tmp_path)
    text = (tmp_path / "receipt.json").read_text()
    monkeypatch.setattr("oarpipe.data.images.index_digits", lambda: pytest.fail("indexed again"))
    index(recipe(DigitsConfig(kind="digits")), out=tmp_path)
    assert (tmp_path / "receipt.json").read_text() == text


def test_a_folder_is_indexed_anew_when_an_image_is_added(folder: Path, tmp_path: Path) -> None:
    asked = recipe(FolderConfig(kind="folder", path=str(folder), resolution=8, test_every=2))
    index(asked, out=tmp_path / "out")
    first = checked(tmp_path / "out", "datasets").digest
    index(asked, out=tmp_path / "out")
    assert checked(tmp_path / "out", "datasets").digest == first
    Image.new("RGB", (9, 8), "green").save(folder / "b" / "3.png")
    index(asked, out=tmp_path / "out")
    assert checked(tmp_path / "out", "datasets").digest != first
    assert len(ImageIndex.read(tmp_path / "out" / "index.parquet")) == 5


def test_where_the_folder_lies_changes_no_digest(folder: Path, tmp_path: Path) -> None:
    digests = []
    for place in ("pictures", "moved"):
        folder = folder.rename(tmp_path / place)
        index(recipe(FolderConfig(kind="folder", path=str(folder), resolution=8)), out=tmp_path / "out")
        digests.append(checked(tmp_path / "out", "datasets").digest)
    assert digests[0] == digests[1]


def test_a_dataset_without_images_loses_nothing(folder: Path, tmp_path: Path) -> None:
    asked = recipe(FolderConfig(kind="folder", path=str(folder), resolution=8))
    index(asked, out=tmp_path / "out")
    before = (tmp_path / "out" / "index.parquet").read_bytes()
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="no such folder"):
        index(asked, out=tmp_path / "out")
    assert (tmp_path / "out" / "index.parquet").read_bytes() == before
