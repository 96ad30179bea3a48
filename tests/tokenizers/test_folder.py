from pathlib import Path

import pytest
import torch
import yaml

from oarpipe.errors import IncompleteData
from oarpipe.tokenizers import ImageTokenizer, load_tokenizer
from oarpipe.tokenizers.folder import DESCRIPTION, WEIGHTS, save_tokenizer
from oarpipe.tokenizers.vqgan import VQGAN
from tests.tokenizers.anatomies import SMALL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_tokenizer(VQGAN(SMALL["strided"]), tmp_path, resolution=8, training="abc")
    return tmp_path


def test_a_tokenizer_that_was_saved_gives_the_same_codes(folder: Path) -> None:
    torch.manual_seed(0)
    original = VQGAN(SMALL["strided"]).eval()
    loaded = load_tokenizer(folder)
    images = torch.randint(0, 256, (2, 3, 8, 8)).to(torch.uint8)
    assert isinstance(loaded, ImageTokenizer)
    assert not loaded.training
    assert loaded.codebook == 12
    assert torch.equal(loaded.encode(images), original.encode(images))


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save_tokenizer(load_tokenizer(folder), tmp_path / "again", resolution=8, training="abc")  # type: ignore[arg-type]
    for name in (WEIGHTS, DESCRIPTION):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(IncompleteData, match=name):
        load_tokenizer(folder)


def test_one_flipped_bit_in_the_weights_is_noticed(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-5] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(IncompleteData, match=rf"{WEIGHTS}: damaged"):
        load_tokenizer(folder)


def test_a_description_of_something_else_is_refused_by_name(folder: Path) -> None:
    (folder / DESCRIPTION).write_text("codebook: 5\n")
    with pytest.raises(IncompleteData, match=rf"{DESCRIPTION}: expected the keys anatomy"):
        load_tokenizer(folder)


def test_an_anatomy_that_does_not_fit_the_weights_or_is_unknown_is_refused(folder: Path) -> None:
    description = yaml.safe_load((folder / DESCRIPTION).read_text())
    description["anatomy"]["width"] = 8
    (folder / DESCRIPTION).write_text(yaml.safe_dump(description))
    with pytest.raises(IncompleteData, match=WEIGHTS):
        load_tokenizer(folder)
    description["anatomy"]["depth"] = 8
    (folder / DESCRIPTION).write_text(yaml.safe_dump(description))
    with pytest.raises(IncompleteData, match=rf"{DESCRIPTION}: not a known anatomy"):
        load_tokenizer(folder)
