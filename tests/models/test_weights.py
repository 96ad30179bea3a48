"""Model folders that are not what they should be."""

from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from oarpipe.errors import IncompleteData
from oarpipe.models import load_model, save_model
from oarpipe.models.position_tokens import PositionTokens


@pytest.fixture
def folder(tiny_model: Callable[..., PositionTokens], tmp_path: Path) -> Path:
    save_model(tmp_path, tiny_model())
    return tmp_path


def test_a_truncated_weights_file_is_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(IncompleteData, match=r"model\.safetensors: cannot be loaded"):
        load_model(folder)


def test_a_missing_key_is_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["norm.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(IncompleteData, match=r"Missing key.*norm\.weight"):
        load_model(folder)


def test_a_description_that_is_none_is_named(folder: Path) -> None:
    (folder / "model.yaml").write_text("kind: something_else\ngrid: [4, 4]\n")
    with pytest.raises(IncompleteData, match=r"model\.yaml"):
        load_model(folder)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"model\.yaml"):
        load_model(tmp_path / "nowhere")
