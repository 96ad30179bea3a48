"""ImageNet's tars are read in place, and give what their unpacked folders would."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.config.datasets import FolderConfig, TarConfig
from oarpipe.data.sources.tar import TarSource
from oarpipe.errors import BadInput
from tests.data.sources.pictures import class_tars, encoded, opened, paint_all, reds, tar

VALUES = {
    "n02/n02_10.JPEG": 10,
    "n02/n02_9.JPEG": 20,
    "n01/n01_1.JPEG": 30,
    "n01/n01_2.JPEG": 40,
    "n01/n01_3.JPEG": 50,
}


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """One tar of class tars, classes and members out of order."""
    (tmp_path / "train.tar").write_bytes(tar(class_tars(VALUES)))
    return tmp_path / "train.tar"


def config(path: Path, **options: Any) -> TarConfig:
    return TarConfig(kind="tar", path=str(path), resolution=8, **options)


def test_a_tar_of_class_tars_gives_what_the_folders_would(outer: Path, tmp_path: Path) -> None:
    paint_all(tmp_path / "folders", VALUES)
    packed = opened(config(outer, test_every=2))
    unpacked = opened(FolderConfig(kind="folder", path=str(tmp_path / "folders"), resolution=8, test_every=2))
    for name in ("digest", "split", "classes"):
        assert getattr(packed.index, name) == getattr(unpacked.index, name)
    np.testing.assert_array_equal(packed.index.label, unpacked.index.label)
    np.testing.assert_array_equal(packed.load(np.arange(5)), unpacked.load(np.arange(5)))
    assert packed.index.path[0] == "n01.tar/n01_1.JPEG"


def test_a_folder_of_class_tars_does_as_well(outer: Path, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    for name, content in class_tars(VALUES).items():
        (tmp_path / "tars" / name).write_bytes(content)
    (tmp_path / "tars" / "urls.txt").write_text("not a tar")
    there, here = opened(config(outer)), opened(config(tmp_path / "tars"))
    assert here.index.path == there.index.path
    assert here.index.digest == there.index.digest
    assert reds(here) == reds(there)
    assert TarSource(config(tmp_path / "tars")).listing().ignored == [("urls.txt", "not a class's tar")]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_every_form_of_tar_are_read(tmp_path: Path, form: int) -> None:
    name = "x" * 90 + "/" + "y" * 80 + ".png"
    inner = tar({name: encoded(77), "z.txt": b"ignored"}, form)
    (tmp_path / "t.tar").write_bytes(tar({"n01.tar": inner, "n02.tar": inner}, form))
    source = opened(config(tmp_path / "t.tar"))
    assert source.index.path == [f"n01.tar/{name}", f"n02.tar/{name}"]
    assert reds(source) == [77, 77]


VALIDATION = {f"ILSVRC2012_val_0000000{i}.JPEG": 60 * i for i in (3, 1, 2)}


@pytest.mark.parametrize(
    "labels",
    [
        "n02\nn01\nn02\n",
        "ILSVRC2012_val_00000002.JPEG n01\nILSVRC2012_val_00000001.JPEG n02\n"
        "ILSVRC2012_val_00000003.JPEG n02\n",
        "ImageId,PredictionString\nILSVRC2012_val_00000003,n02 1 2 3 4\nILSVRC2012_val_00000001,n02 1 2 3 4\n"
        "ILSVRC2012_val_00000002,n01 1 2 3 4 n01 5 6 7 8\n",
    ],
    ids=["in order", "by name", "kaggle"],
)
def test_a_flat_tar_of_test_images_takes_its_classes_from_a_text(
    outer: Path, tmp_path: Path, labels: str
) -> None:
    (tmp_path / "val.tar").write_bytes(tar({n: encoded(v, "JPEG") for n, v in VALIDATION.items()}))
    (tmp_path / "val.txt").write_text(labels)
    options = {"test_path": str(tmp_path / "val.tar"), "test_labels": str(tmp_path / "val.txt")}
    source = opened(config(outer, **options))
    tests = source.index.rows("test")
    assert source.index.label[tests].tolist() == [1, 0, 1]
    assert len(source.index.rows("train")) == 5
    np.testing.assert_allclose(source.load(tests)[:, 0, 0, 0], [60, 120, 180], atol=2)


def test_test_images_may_lie_in_class_folders_or_class_tars(outer: Path, tmp_path: Path) -> None:
    paint_all(tmp_path / "val", {"n02/a.png": 200, "n01/b.png": 100})
    (tmp_path / "val.tar").write_bytes(tar(class_tars({"n02/a.JPEG": 200, "n01/b.JPEG": 100})))
    for name in ("val", "val.tar"):
        source = opened(config(outer, test_path=str(tmp_path / name)))
        tests = source.index.rows("test")
        assert source.index.label[tests].tolist() == [0, 1]
        np.testing.assert_allclose(source.load(tests)[:, 0, 0, 0], [100, 200], atol=2)


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("n01\nn02\n", "2 labels for 3 images"),
        (
            "ILSVRC2012_val_00000001 n01\n",
            "no label for 2 images, the first being ILSVRC2012_val_00000002",
        ),
        ("n01\nn02\nn77\n", "1 classes have no training images, the first being 'n77'"),
    ],
)
def test_labels_that_do_not_match_the_test_images_are_refused(
    outer: Path, tmp_path: Path, labels: str, says: str
) -> None:
    (tmp_path / "val.tar").write_bytes(tar({n: encoded(v, "JPEG") for n, v in VALIDATION.items()}))
    (tmp_path / "val.txt").write_text(labels)
    options = {"test_path": str(tmp_path / "val.tar"), "test_labels": str(tmp_path / "val.txt")}
    with pytest.raises(BadInput, match=says):
        TarSource(config(outer, **options)).listing()


def test_a_tar_cut_anywhere_is_refused_never_read_in_part(outer: Path, tmp_path: Path) -> None:
    whole = tar(class_tars(VALUES))
    used = len(whole.rstrip(b"\x00"))
    cut = tmp_path / "cut.tar"
    for end in range(0, used, 512):
        cut.write_bytes(whole[:end])
        with pytest.raises(BadInput, match=r"cut\.tar: "):
            TarSource(config(cut)).listing()


def test_a_class_tar_cut_between_its_members_is_refused(tmp_path: Path) -> None:
    inner = tar({f"{i}.png": encoded(i) for i in range(3)})
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        boundary = archive.getmembers()[2].offset
    (tmp_path / "n01.tar").write_bytes(inner[:boundary])
    with pytest.raises(BadInput, match=r"n01\.tar: damaged or cut short"):
        TarSource(config(tmp_path)).listing()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"no tar at all" * 100, "not an uncompressed tar"),
        (tar({"1.png": encoded(1)}), "holds no class tars"),
        (tar({"n01.tar": tar({"a.txt": b"x"})}), "class 'n01' has no images"),
        (tar({"n01.tar": tar({"1.png": encoded(1)}), "N01.tar": tar({"1.png": encoded(1)})}), "only by case"),
    ],
)
def test_a_tar_of_anything_else_is_refused_and_told(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "odd.tar").write_bytes(content)
    with pytest.raises(BadInput, match=says):
        TarSource(config(tmp_path / "odd.tar")).listing()


def test_a_missing_tar_is_refused_and_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.tar: cannot be read \(No such file"):
        TarSource(config(tmp_path / "absent.tar")).listing()
