"""The stage `tokenize`: every image and view, by shard, through a tokenizer whose codes can be computed."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.base.receipts import checked
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import TokensConfig
from oarpipe.data.images import ImageSource, open_images
from oarpipe.data.token_store import TokenStore
from oarpipe.data.transforms import VIEWS, views_of
from oarpipe.errors import IncompleteData
from oarpipe.stages.index import index
from oarpipe.stages.tokenize import tokenize
from oarpipe.tokenizers.protocol import ImageTokenizer
from tests.stages import ingredients


class Quadrants(ImageTokenizer):
    """The codes are the brightest values of the image's four quadrants; it can break down on the way."""

    codebook = 256

    def __init__(self, breaks_after: int | None = None) -> None:
        super().__init__()
        self.encoded = 0
        self.breaks_after = breaks_after

    def grid(self, resolution: int) -> Grid:
        return Grid(2, 2)

    def encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        if self.breaks_after is not None and self.encoded >= self.breaks_after:
            raise KeyboardInterrupt
        self.encoded += len(images)
        return torch.nn.functional.max_pool2d(images[:, 0].float(), 4).flatten(1).long()

    def decode(self, tokens: Int[Tensor, "B N"], grid: Grid) -> UInt8[Tensor, "B 3 H W"]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits")
    index(Recipe("datasets", "digits", 0, DigitsConfig(kind="digits", resolution=8)), out=out)
    return out


def run(dataset: Path, out: Path, network: Quadrants, patch: pytest.MonkeyPatch, **options: object) -> None:
    patch.setattr("oarpipe.tokenizers.load_tokenizer", lambda folder: network)
    entry = {"dataset": "digits", "tokenizer": "quadrants", "shard": 500, "batch": 128, **options}
    recipe = Recipe("tokens", "digits", 0, TokensConfig.model_validate(entry))
    tokenize(recipe, dataset=dataset, tokenizer=out.parent / "quadrants", out=out)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    ingredients.tokenizer(tmp_path / "quadrants")
    return tmp_path / "tokens"


def test_every_image_has_its_codes_label_and_split(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset, out, Quadrants(), monkeypatch)
    checked(out, "tokens")
    tokens = TokenStore.open(out / "tokens.zarr").read()
    source = open_images(checked(dataset, "datasets"))
    images = source.load(source.index.rows("all"))[..., 0]
    expected = images.reshape(-1, 2, 4, 2, 4).max(axis=(2, 4)).reshape(-1, 1, 4)
    np.testing.assert_array_equal(tokens.tokens, expected)
    np.testing.assert_array_equal(tokens.labels, source.index.label)
    np.testing.assert_array_equal(tokens.select("test").sample_ids, source.index.rows("test"))
    assert tokens.views == ["original"]
    assert tokens.grid == Grid(2, 2)


def test_the_flipped_view_holds_the_mirror_images_codes(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset, out, Quadrants(), monkeypatch, views="adm")
    tokens = TokenStore.open(out / "tokens.zarr").read()
    assert tokens.views == ["original", "flipped"]
    np.testing.assert_array_equal(tokens.tokens[:, 1], tokens.tokens[:, 0][:, [1, 0, 3, 2]])


def test_the_ten_views_hold_the_codes_of_ten_crops(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset, out, Quadrants(), monkeypatch, views="ten_crop")
    tokens = TokenStore.open(out / "tokens.zarr").read()
    assert tokens.views == list(VIEWS["ten_crop"])
    source = open_images(checked(dataset, "datasets"))
    assert tokens.tokens.shape == (1797, 10, 4)
    crops = views_of(source.picture(5), 8, "ten_crop")[..., 0]
    np.testing.assert_array_equal(
        tokens.tokens[5], crops.reshape(10, 2, 4, 2, 4).max(axis=(2, 4)).reshape(10, 4)
    )


def test_images_are_decoded_while_the_tokenizer_works(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    ahead: list[int] = []
    picture = ImageSource.picture

    def counted(self: ImageSource, sample_id: int) -> Image.Image:
        decoded.append(sample_id)
        return picture(self, sample_id)

    class Watching(Quadrants):
        def encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
            begin = time.monotonic()
            while len(decoded) < min(1797, self.encoded + 3 * 128) and time.monotonic() < begin + 20:
                time.sleep(0.001)
            ahead.append(len(decoded) - self.encoded)
            return super().encode(images)

    monkeypatch.setattr(ImageSource, "picture", counted)
    run(dataset, out, Watching(), monkeypatch, batch=128, shard=1280)
    assert ahead[0] == 3 * 128  # this batch and two more, while it was held up; never the whole set
    assert sorted(decoded) == list(range(1797))


def test_a_killed_run_continues_at_the_next_shard_and_ends_the_same(
    dataset: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(dataset, out, Quadrants(breaks_after=1200), monkeypatch)
    assert not (out / "tokens.zarr").exists()
    second = Quadrants()
    run(dataset, out, second, monkeypatch)
    assert second.encoded == 1797 - 1000  # two of four shards were there
    ingredients.tokenizer(tmp_path / "b" / "quadrants")
    run(dataset, tmp_path / "b" / "tokens", Quadrants(), monkeypatch)
    assert checked(out, "tokens").digest == checked(tmp_path / "b" / "tokens", "tokens").digest


def test_a_run_killed_between_publishing_and_its_receipt_only_finishes(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("oarpipe.base.receipts.Stage.finish", _kill)
        with pytest.raises(KeyboardInterrupt):
            run(dataset, out, Quadrants(), patch)
    second = Quadrants()
    run(dataset, out, second, monkeypatch)
    assert second.encoded == 0
    checked(out, "tokens")


def test_a_finished_stage_does_nothing_and_another_tokenizer_starts_anew(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset, out, Quadrants(), monkeypatch)
    second, third = Quadrants(), Quadrants()
    run(dataset, out, second, monkeypatch)
    assert second.encoded == 0
    ingredients.tokenizer(out.parent / "quadrants", content="other weights")
    run(dataset, out, third, monkeypatch)
    assert third.encoded == 1797
    assert not (out / "state").exists()


def test_a_damaged_store_is_no_input_and_is_made_anew(
    dataset: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(dataset, out, Quadrants(), monkeypatch)
    shard = out / "tokens.zarr" / "tokens" / "c" / "1" / "0" / "0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(IncompleteData, match=r"tokens/c/1/0/0 is damaged"):
        checked(out, "tokens")
    second = Quadrants()
    run(dataset, out, second, monkeypatch)
    assert second.encoded == 1797
    checked(out, "tokens")


def _kill(*arguments: object) -> None:
    raise KeyboardInterrupt
