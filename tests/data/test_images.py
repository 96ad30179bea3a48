"""Images come by sample id; what cannot be read, is missing or has changed is named."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oarpipe.base.files import Receipt
from oarpipe.config.datasets import DigitsConfig, FolderConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.images import ImageSource, index_digits, index_folder, open_images
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.stages.index import index


def paint(file: Path, value: int, size: tuple[int, int] = (40, 30)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 255 - value)).save(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, name in enumerate(["cat/1.png", "cat/2.png", "cat/deep/3.jpg", "ant/b.png", "ant/a.PNG"]):
        paint(tmp_path / "pictures" / name, 40 * n)
    (tmp_path / "pictures" / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "pictures" / "cat" / "._1.png").write_text("what macOS leaves behind")
    return tmp_path / "pictures"


def opened(config: DigitsConfig | FolderConfig, out: Path) -> ImageSource:
    recipe = Recipe("datasets", "images", 0, config)
    index(recipe, out=out)
    receipt = Receipt(
        table="datasets",
        name="images",
        seed=0,
        format=1,
        recipe=config.model_dump(mode="json"),
        inputs={},
        fingerprint="",
        digest="",
        files={},
        folder=out,
    )
    return open_images(receipt)


def test_digits_are_the_gray_pictures_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    source = opened(DigitsConfig(kind="digits", resolution=8), tmp_path)
    images = source.load(np.array([5, 1796, 0]))
    original = load_digits().images[[5, 1796, 0]]
    np.testing.assert_array_equal(images[..., 0], np.rint(original * 255 / 16))
    assert (images == images[..., :1]).all()


def test_digits_come_in_the_resolution_asked_for(tmp_path: Path) -> None:
    images = opened(DigitsConfig(kind="digits", resolution=24), tmp_path).load(np.arange(3))
    assert images.shape == (3, 24, 24, 3)
    assert images.dtype == np.uint8


def test_a_folder_has_one_class_a_folder_sorted_by_name(folder: Path) -> None:
    found = index_folder(folder, test_every=2)
    assert found.classes == ["ant", "cat"]
    assert found.path == ["ant/a.PNG", "ant/b.png", "cat/1.png", "cat/2.png", "cat/deep/3.jpg"]
    assert found.label.tolist() == [0, 0, 1, 1, 1]
    assert found.split == ["train", "test", "train", "test", "train"]
    assert found.size.tolist() == [(folder / path).stat().st_size for path in found.path]


def test_a_folders_images_are_cropped_and_come_in_the_order_asked_for(folder: Path, tmp_path: Path) -> None:
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=16), tmp_path / "out")
    images = source.load(np.array([3, 0]))
    assert images.shape == (2, 16, 16, 3)
    assert images[0, 0, 0].tolist() == [40, 0, 215]
    assert images[1, 0, 0].tolist() == [160, 0, 95]


def test_a_folder_without_images_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: no images; expected .*CLASS/NAME"):
        index_folder(tmp_path / "empty", 10)
    paint(tmp_path / "flat" / "1.png", 0)
    with pytest.raises(BadInput, match="flat: no images"):
        index_folder(tmp_path / "flat", 10)
    with pytest.raises(BadInput, match="no such folder"):
        index_folder(tmp_path / "absent", 10)


def test_an_empty_class_is_refused_and_named(folder: Path) -> None:
    (folder / "bee").mkdir()
    with pytest.raises(BadInput, match="bee: no images"):
        index_folder(folder, 10)


@pytest.mark.parametrize("content", [b"", b"no picture at all", "cut"])
def test_an_unreadable_image_is_named(folder: Path, content: bytes | str) -> None:
    file = folder / "cat" / "2.png"
    file.write_bytes(file.read_bytes()[:60] if isinstance(content, str) else content)
    with pytest.raises(BadInput, match=r"cat/2\.png: not a readable image"):
        index_folder(folder, 10)


def test_a_sixteen_bit_image_is_named(folder: Path) -> None:
    Image.fromarray(np.full((20, 20), 3000, np.uint16)).save(folder / "cat" / "2.png")
    with pytest.raises(BadInput, match=r"cat/2\.png: .*8 bits"):
        index_folder(folder, 10)


def test_an_image_that_changed_or_went_is_named(folder: Path, tmp_path: Path) -> None:
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=16), tmp_path / "out")
    paint(folder / "ant" / "a.PNG", 99)
    with pytest.raises(IncompleteData, match=r"a\.PNG: changed since it was indexed"):
        source.load(np.array([0]))
    (folder / "ant" / "b.png").unlink()
    with pytest.raises(IncompleteData, match=r"b\.png: cannot be read"):
        source.load(np.array([1]))


def test_indexing_twice_gives_the_same_digests() -> None:
    assert index_digits().digest == index_digits().digest
    assert len(set(index_digits().digest)) == 1797
