"""Images come by sample id, decoded ahead; what is missing or has changed is named."""

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oarpipe.base.receipts import checked
from oarpipe.config.datasets import DigitsConfig, FolderConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.images import ImageSource, open_images
from oarpipe.data.transforms import views_of
from oarpipe.errors import IncompleteData
from oarpipe.stages.index import index
from tests.data.sources.pictures import paint, paint_all


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paint_all(tmp_path / "pictures", {f"{name}/{i}.png": 40 * i for name in ("ant", "cat") for i in range(3)})
    return tmp_path / "pictures"


def opened(config: DigitsConfig | FolderConfig, out: Path) -> ImageSource:
    index(Recipe("datasets", "images", 0, config), out=out)
    return open_images(checked(out, "datasets"))


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


def test_images_are_cropped_and_come_in_the_order_asked_for(folder: Path, tmp_path: Path) -> None:
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=16), tmp_path / "out")
    images = source.load(np.array([5, 0, 1]))
    assert images.shape == (3, 16, 16, 3)
    assert images[:, 0, 0].tolist() == [[80, 0, 175], [0, 0, 255], [40, 0, 215]]


def test_the_stream_gives_every_view_in_order(folder: Path, tmp_path: Path) -> None:
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=16), tmp_path / "out")
    ids = np.array([4, 2, 0, 1])
    streamed = np.stack(list(source.stream(ids, "adm", ahead=1)))
    assert streamed.shape == (4, 2, 16, 16, 3)
    np.testing.assert_array_equal(streamed[:, 0], source.load(ids))
    for views in ("centre", "adm"):
        np.testing.assert_array_equal(source.first_view(ids, views), source.load(ids))
    corner = views_of(source.picture(4), 16, "ten_crop")[0]
    np.testing.assert_array_equal(source.first_view(ids, "ten_crop")[0], corner)


@pytest.mark.parametrize("crop", ["random", "random_resized"])
def test_a_random_part_is_a_function_of_seed_and_visit(tmp_path: Path, crop: str) -> None:
    source = opened(DigitsConfig(kind="digits", resolution=16), tmp_path / "out")
    ids, visits = np.array([7, 7, 8]), np.array([100, 101, 102])
    parts = source.load_at_random(ids, visits, crop=crop, seed=0)
    assert parts.shape == (3, 16, 16, 3)
    assert (parts[0] != parts[1]).any()  # one image, two visits
    np.testing.assert_array_equal(source.load_at_random(ids[1:], visits[1:], crop=crop, seed=0), parts[1:])
    assert (source.load_at_random(ids, visits, crop=crop, seed=1) != parts).any()


def test_an_image_that_changed_or_went_is_named(folder: Path, tmp_path: Path) -> None:
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=16), tmp_path / "out")
    paint(folder / "ant" / "0.png", 99)
    with pytest.raises(IncompleteData, match=r"ant/0\.png: changed since it was indexed; run index again"):
        source.load(np.array([0]))
    (folder / "ant" / "1.png").unlink()
    with pytest.raises(IncompleteData, match=r"ant/1\.png: cannot be read \(No such file"):
        source.load(np.array([1]))


def photograph(rng: np.random.Generator) -> Image.Image:
    """500x375 pixels with the spectrum of photographs; at quality 90 as large a file as ImageNet's."""
    spectrum = np.fft.rfft2(rng.standard_normal((375, 500, 3)), axes=(0, 1))
    frequency = np.hypot(np.fft.fftfreq(375)[:, None], np.fft.rfftfreq(500)[None]) + 1 / 500
    pixels = np.fft.irfft2(spectrum / frequency[..., None], s=(375, 500), axes=(0, 1))
    return Image.fromarray(np.clip(128 + 50 * pixels / pixels.std(), 0, 255).astype(np.uint8))


def test_a_core_reads_and_crops_photographs_by_the_hundred_a_second(tmp_path: Path) -> None:
    """150 to 210 a second where we measured (docs/benchmarks.md); a tenth of that is a mistake of ours."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "pictures"
    (folder / "a").mkdir(parents=True)
    for i in range(10):
        photograph(rng).save(folder / "a" / f"{i}.jpg", quality=90)
    source = opened(FolderConfig(kind="folder", path=str(folder), resolution=256), tmp_path / "out")
    begin = time.process_time()
    views = list(source.stream(np.arange(10), "adm"))
    assert 10 / (time.process_time() - begin) > 20
    assert views[0].shape == (2, 256, 256, 3)
