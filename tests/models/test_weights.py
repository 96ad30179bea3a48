"""Model folders that are not what they should be."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from oarpipe.decoding.walks import extract_orders
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


def test_in_bfloat16_a_walk_rounds_its_weights_but_not_its_positions_or_logits(folder: Path) -> None:
    exact, rounded = load_model(folder), load_model(folder, precision="bfloat16")
    assert rounded.output.weight.dtype == torch.bfloat16
    assert torch.equal(rounded.rotary, exact.rotary)
    order, labels = torch.arange(16).flip(0)[None], torch.tensor([1])
    tokens = torch.arange(16)[None] % exact.codebook
    logits = rounded(tokens, order, labels)
    assert logits.dtype == torch.float32
    wanted = exact(tokens, order, labels)
    assert (logits - wanted).abs().max() < 0.05 * wanted.abs().max()
    walk = extract_orders(rounded, tokens, labels)
    assert sorted(walk.order[0].tolist()) == list(range(16))
    assert walk.score.dtype == torch.float32
