"""Files of published tokenizers are recognised, and what is wrong with one is told by name."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from oarpipe.config.tokenizers import VQGANAnatomy
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.tokenizers.maskgit import MaskGITAnatomy
from oarpipe.tokenizers.networks import Anatomy, build
from oarpipe.tokenizers.published import LAYOUTS, kind_of, read_published
from tests.conftest import published_tensor

VQGAN = VQGANAnatomy(
    kind="vqgan", stem="strided", factor=2, width=4, multipliers=[1, 3], attention=True, code_dim=5,
    codebook=6, normalise=False,
)  # fmt: skip
ANATOMIES: dict[str, Anatomy] = {
    "llamagen": VQGAN.model_copy(update={"normalise": True}),
    "taming": VQGAN,
    "maskgit": MaskGITAnatomy(width=32, multipliers=[2, 1], blocks=3, code_dim=5, codebook=6),
}


def tensors(kind: str) -> dict[str, Tensor]:
    """A small tokenizer under its published names."""
    ours = build(ANATOMIES[kind], "meta").state_dict()
    names = {LAYOUTS[kind].name(key, 2): tuple(tensor.shape) for key, tensor in ours.items()}
    return {name: published_tensor(name, shape) for name, shape in names.items()}


def written(file: Path, content: dict[str, Tensor]) -> Path:
    save_file(content, file)
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


@pytest.mark.parametrize("kind", ANATOMIES)
def test_the_kind_is_told_from_the_names_and_the_anatomy_from_the_shapes(file: Path, kind: str) -> None:
    written(file, tensors(kind))
    assert kind_of(file) == kind
    assert read_published(file, kind).anatomy == ANATOMIES[kind]


@pytest.mark.parametrize("kind", ANATOMIES)
def test_every_tensor_arrives_under_its_own_name(file: Path, kind: str) -> None:
    content = tensors(kind)
    network = read_published(written(file, content), kind)
    arrived = {LAYOUTS[kind].name(key, 2): tensor for key, tensor in network.state_dict().items()}
    assert arrived.keys() == content.keys()
    assert all(torch.equal(arrived[key], content[key]) for key in content)


def test_half_precision_becomes_float32(file: Path) -> None:
    written(file, {key: tensor.half() for key, tensor in tensors("llamagen").items()})
    assert {t.dtype for t in read_published(file, "llamagen").parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("kind", "dropped"),
    [("llamagen", "quantize.codebook_used"), ("taming", "loss.discriminator.main.0.weight")],
)
def test_what_is_no_part_of_the_network_is_left_out(file: Path, kind: str, dropped: str) -> None:
    read_published(written(file, {**tensors(kind), dropped: torch.zeros(3)}), kind)
    other = "maskgit" if kind == "taming" else "taming"
    with pytest.raises(BadInput, match=rf"1 unexpected: {dropped}"):
        read_published(written(file, {**tensors(other), dropped: torch.zeros(3)}), other)


def test_missing_unexpected_and_misshapen_keys_are_told_by_their_published_names(file: Path) -> None:
    content = tensors("taming")
    del content["decoder.up.1.attn.0.q.bias"]
    content["decoder.up.0.block.0.norm1.bias"] = torch.zeros(9)
    content["ema.decay"] = torch.zeros(1)
    with pytest.raises(BadInput) as caught:
        read_published(written(file, content), "taming")
    assert "1 missing: decoder.up.1.attn.0.q.bias" in str(caught.value)
    assert "1 unexpected: ema.decay" in str(caught.value)
    assert "decoder.up.0.block.0.norm1.bias is 9, expected 12" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quantize.embedding.weight"]
)
def test_a_missing_key_that_tells_the_anatomy_is_named(file: Path, key: str) -> None:
    content = tensors("maskgit")
    del content[key]
    with pytest.raises(BadInput, match=rf"kind maskgit: {key} is missing"):
        read_published(written(file, content), "maskgit")
    content[key] = torch.zeros(3)
    with pytest.raises(BadInput, match=rf"{key} has 1 dimensions, expected"):
        read_published(written(file, content), "maskgit")


def test_impossible_shapes_are_told(file: Path) -> None:
    content = tensors("maskgit") | {"encoder.conv_in.weight": torch.zeros(33, 3, 3, 3)}
    with pytest.raises(BadInput, match=r"shapes describe no tokenizer of kind maskgit: width would be 33"):
        read_published(written(file, content), "maskgit")


def test_integers_are_refused(file: Path) -> None:
    content = tensors("llamagen") | {"quant_conv.bias": torch.zeros(5, dtype=torch.int64)}
    with pytest.raises(BadInput, match=r"quant_conv\.bias holds torch\.int64, expected floating-point"):
        read_published(written(file, content), "llamagen")


def test_another_kind_of_tokenizer_is_told_as_what_it_is(file: Path) -> None:
    written(file, tensors("maskgit"))
    with pytest.raises(
        BadInput, match="expected a tokenizer of kind taming, but it looks like MaskGIT's tokenizer"
    ):
        read_published(file, "taming")


def test_a_model_is_told_as_what_it_is(file: Path) -> None:
    names = ["layers.0.attention.wqkv.weight", "pos_instruct_embeddings"]
    written(file, {name: torch.zeros(2, 2) for name in names})
    for read in (kind_of, lambda file: read_published(file, "llamagen")):
        with pytest.raises(
            BadInput, match="looks like RandAR's class-conditional model; that is for `oarpipe import-model`"
        ):
            read(file)


def test_a_stranger_is_told_by_what_its_names_begin_with(file: Path) -> None:
    written(file, {"stranger.weight": torch.zeros(2)})
    with pytest.raises(
        BadInput, match=r"expected a published tokenizer \(llamagen, taming, maskgit\).*stranger"
    ):
        kind_of(file)


def test_a_truncated_file_is_told(file: Path) -> None:
    written(file, tensors("llamagen"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(IncompleteData, match="truncated"):
        read_published(file, "llamagen")
