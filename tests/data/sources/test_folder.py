"""A folder of class folders: what is listed, in which order, and what is refused."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from oarpipe.config.datasets import FolderConfig
from oarpipe.data.sources.folder import FolderSource
from oarpipe.errors import BadInput
from tests.data.sources.pictures import opened, paint, paint_all, reds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    values = {"cat/1.png": 0, "cat/2.png": 40, "cat/deep/3.png": 80, "ant/b.png": 120, "ant/a.PNG": 160}
    paint_all(tmp_path / "pictures", values)
    (tmp_path / "pictures" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "pictures" / "cat" / "._1.png").write_text("what macOS leaves behind")
    (tmp_path / "pictures" / "README.md").write_text("a word")
    return tmp_path / "pictures"


def config(path: Path, **options: Any) -> FolderConfig:
    return FolderConfig(kind="folder", path=str(path), resolution=8, **options)


def test_one_class_a_folder_sorted_by_name(folder: Path) -> None:
    source = opened(config(folder, test_every=2))
    assert source.index.classes == ["ant", "cat"]
    assert source.index.path == ["ant/a.PNG", "ant/b.png", "cat/1.png", "cat/2.png", "cat/deep/3.png"]
    assert source.index.label.tolist() == [0, 0, 1, 1, 1]
    assert source.index.split == ["train", "test", "train", "test", "train"]
    assert reds(source) == [160, 120, 0, 40, 80]


def test_numbered_folders_are_names_like_others(tmp_path: Path) -> None:
    paint_all(tmp_path, {f"{name}/1.png": 0 for name in ("2", "10", "1")})
    assert opened(config(tmp_path)).index.classes == ["1", "10", "2"]


def test_other_files_are_ignored_and_listed(folder: Path) -> None:
    assert dict(FolderSource(config(folder)).listing().ignored) == {
        "README.md": "lies in no class's folder",
        "cat/notes.txt": "not an image by its name",
        "cat/._1.png": "not an image by its name",
    }


def test_test_images_may_lie_in_a_folder_of_their_own(folder: Path, tmp_path: Path) -> None:
    paint_all(tmp_path / "held", {"cat/1.png": 200, "ant/9.png": 220})
    source = opened(config(folder, test_path=str(tmp_path / "held")))
    assert source.index.rows("test").tolist() == [5, 6]
    assert source.index.label.tolist() == [0, 0, 1, 1, 1, 0, 1]
    assert reds(source) == [160, 120, 0, 40, 80, 220, 200]


def test_a_test_class_without_training_images_is_refused_and_named(folder: Path, tmp_path: Path) -> None:
    paint(tmp_path / "held" / "bee" / "1.png", 0)
    with pytest.raises(BadInput, match="held: 1 classes have no training images, the first being 'bee'"):
        FolderSource(config(folder, test_path=str(tmp_path / "held"))).listing()


def test_a_folder_without_images_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: no images; expected .*CLASS/NAME"):
        FolderSource(config(tmp_path / "empty")).listing()
    paint(tmp_path / "flat" / "1.png", 0)
    with pytest.raises(BadInput, match="flat: no images"):
        FolderSource(config(tmp_path / "flat")).listing()
    with pytest.raises(BadInput, match="no such folder; set the dataset's `path`"):
        FolderSource(config(tmp_path / "absent")).listing()


def test_an_empty_class_is_refused_and_named(folder: Path) -> None:
    (folder / "bee").mkdir()
    with pytest.raises(BadInput, match="bee: no images"):
        FolderSource(config(folder)).listing()


def test_classes_that_differ_only_by_case_are_refused(folder: Path) -> None:
    paint(folder / "Cat" / "1.png", 0)
    with pytest.raises(BadInput, match="classes 'Cat' and 'cat' differ only by case"):
        FolderSource(config(folder)).listing()


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system refuses such names itself")
def test_a_name_that_is_no_text_is_refused(folder: Path) -> None:
    os.rename(folder / "cat" / "2.png", os.fsencode(folder) + b"/cat/caf\xe9.png")
    with pytest.raises(BadInput, match=r"cat: the name 'caf\\udce9\.png' is not UTF-8; rename it"):
        FolderSource(config(folder)).listing()


@pytest.mark.parametrize("hidden", ["pictures", "cat", "deep"])
def test_an_unreadable_folder_is_refused_and_named(
    folder: Path, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refusing(path: Path) -> Any:
        if Path(path).name == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(BadInput, match=rf"{hidden}: cannot be read \(Permission denied\)"):
        FolderSource(config(folder)).listing()
