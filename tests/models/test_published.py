"""Published model files: understood, refused with a reason, and given back byte for byte."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from oarpipe.base.grid import Grid
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.models import load_model, published, save_model
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.published import PublishedModel, read_model, write_model
from tests.conftest import GOLDEN, published_weights

Weights = dict[str, torch.Tensor]
FOUR = Grid(4, 4)


@pytest.fixture
def weights(randar: PositionTokens) -> Weights:
    """The golden file's RandAR, as a published file holds it."""
    return {key: tensor.clone() for key, tensor in randar.state_dict().items()}


@pytest.fixture
def llamagen() -> Weights:
    """A LlamaGen of two layers, width 128, by the same rule."""
    model = NextToken(grid=FOUR, codebook=31, classes=7, layers=2, heads=2, width=128)
    return published_weights(model)


def flat(weights: Weights, file: Path) -> Path:
    save_file(weights, file)
    return file


def pickled(content: object, file: Path) -> Path:
    torch.save(content, file)
    return file


def imported(found: PublishedModel, folder: Path) -> Any:
    save_model(folder, found.model, weights=found.weights)
    return load_model(folder)


CONTAINERS: dict[str, Callable[[Weights, Path], Path]] = {
    "safetensors": lambda weights, folder: flat(weights, folder / "randar.safetensors"),
    "flat pt": lambda weights, folder: pickled(weights, folder / "randar.pt"),
    "model": lambda weights, folder: pickled({"model": weights, "steps": 3}, folder / "randar.pt"),
    "module": lambda weights, folder: pickled({"module": weights, "optimizer": {}}, folder / "randar.pt"),
    "state_dict": lambda weights, folder: pickled({"state_dict": weights}, folder / "randar.pt"),
    "data-parallel names": lambda weights, folder: pickled(
        {"model": {f"module.{key}": tensor for key, tensor in weights.items()}}, folder / "randar.pt"
    ),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_an_imported_randar_answers_as_the_official_implementation(
    weights: Weights, randar_golden: dict[str, np.ndarray], tmp_path: Path, container: str
) -> None:
    found = read_model(CONTAINERS[container](weights, tmp_path), heads=4, grid=FOUR)
    assert found.kind == "randar"
    model = imported(found, tmp_path / "model")
    tokens, order, labels = (torch.tensor(randar_golden[k]).long() for k in ("tokens", "order", "labels"))
    for name, classes in (("logits", labels), ("logits_null", torch.full_like(labels, model.null_label))):
        logits = model(tokens, order, classes).detach().numpy()
        assert np.abs(logits - randar_golden[name]).max() < 2e-4


def test_sizes_come_from_the_shapes_and_the_message_tells_them(llamagen: Weights, tmp_path: Path) -> None:
    found = read_model(flat(llamagen, tmp_path / "weights.safetensors"))
    assert isinstance(found.model, NextToken)
    assert str(found) == (
        "llamagen: 2 layers, width 128, 2 heads, 31 codes, 7 classes, grid 16x16, "
        f"{sum(tensor.numel() for tensor in llamagen.values()):,} parameters in float32"
    )


@pytest.mark.parametrize(("layers", "width", "heads"), [(24, 3200, 32), (32, 4096, 32), (36, 1280, 20)])
def test_published_sizes_have_their_published_heads(
    layers: int, width: int, heads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        made = NextToken(grid=FOUR, codebook=2, classes=1, layers=layers, heads=heads, width=width)
        empty = {key: torch.empty(tensor.shape) for key, tensor in made.state_dict().items()}
    monkeypatch.setattr(published, "read_checkpoint", lambda file: empty)
    assert read_model(tmp_path / "c2i_3B_384.pt").model.heads == heads


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_exported_import_is_the_same_byte_for_byte(
    weights: Weights, tmp_path: Path, suffix: str, dtype: torch.dtype
) -> None:
    given = {key: tensor.to(dtype) for key, tensor in weights.items()}
    imported(read_model(flat(given, tmp_path / "in.safetensors"), heads=4, grid=FOUR), tmp_path / "model")
    out = tmp_path / f"out{suffix}"
    assert write_model(tmp_path / "model", out).heads == 4
    back = load_file(out) if suffix == ".safetensors" else torch.load(out, weights_only=True)["model"]
    assert set(back) == set(given)
    for key, tensor in given.items():
        assert back[key].dtype == dtype
        assert torch.equal(back[key].view(torch.uint8), tensor.view(torch.uint8))


def test_half_precision_weights_are_kept_and_answered_with_in_float32(
    weights: Weights, tmp_path: Path
) -> None:
    given = {key: tensor.bfloat16() for key, tensor in weights.items()}
    model = imported(read_model(flat(given, tmp_path / "in.safetensors"), heads=4, grid=FOUR), tmp_path)
    assert all(
        p.dtype == torch.float32 and torch.equal(p, given[name].float())
        for name, p in model.named_parameters()
    )


def spoilt(weights: Weights, change: str) -> Weights:
    match change:
        case "missing":
            del weights["layers.1.attention.wo.weight"]
        case "unexpected":
            weights["ema.decay"] = torch.zeros(1)
        case "misshapen":
            weights["layers.2.feed_forward.w1.weight"] = torch.zeros(255, 64)
        case "integers":
            weights["norm.weight"] = torch.zeros(64, dtype=torch.int64)
        case "no sizes":
            del weights["tok_embeddings.weight"]
        case "no layers":
            return {key: tensor for key, tensor in weights.items() if not key.startswith("layers.")}
    return weights


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("missing", "as randar of width 64 with 3 layers: .*1 missing: layers.1.attention.wo.weight"),
        ("unexpected", "1 unexpected: ema.decay"),
        ("misshapen", "layers.2.feed_forward.w1.weight is 255x64, expected 256x64"),
        ("integers", "norm.weight holds torch.int64, expected floating-point numbers"),
        ("no sizes", "without tok_embeddings.weight, its sizes cannot be told"),
        ("no layers", "without layers.0, its sizes cannot be told"),
    ],
)
def test_a_key_that_is_not_as_it_should_be_is_named(
    weights: Weights, tmp_path: Path, change: str, says: str
) -> None:
    file = flat(spoilt(weights, change), tmp_path / "randar.safetensors")
    with pytest.raises(BadInput, match=rf"randar\.safetensors: .*{says}"):
        read_model(file, kind="randar", heads=4, grid=FOUR)


@pytest.mark.parametrize(
    ("heads", "says"),
    [
        (5, "width 64 cannot be cut into 5 heads"),
        (0, "width 64 cannot be cut into 0 heads"),
        (32, "width 64 cannot be cut into 32 heads, each of a multiple of 4 channels"),
    ],
)
def test_heads_that_do_not_divide_the_width_are_refused(
    weights: Weights, tmp_path: Path, heads: int, says: str
) -> None:
    with pytest.raises(BadInput, match=f"{says}.*give --heads"):
        read_model(flat(weights, tmp_path / "w.safetensors"), heads=heads, grid=FOUR)


def test_a_width_without_heads_of_64_channels_needs_them_given(tmp_path: Path) -> None:
    model = PositionTokens(grid=FOUR, codebook=9, classes=2, layers=1, heads=3, width=96)
    with pytest.raises(BadInput, match=r"width 96 cannot be cut into heads of 64 channels.*give --heads"):
        read_model(flat(published_weights(model), tmp_path / "w.safetensors"), grid=FOUR)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_named(weights: Weights, tmp_path: Path, suffix: str, share: float) -> None:
    file = tmp_path / f"weights{suffix}"
    (flat if suffix == ".safetensors" else pickled)(weights, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(IncompleteData, match=rf"weights\{suffix}: truncated, damaged or no file of weights"):
        read_model(file)


def test_a_pickle_with_other_objects_is_refused_with_an_explanation(weights: Weights, tmp_path: Path) -> None:
    content = {"model": weights, "args": argparse.Namespace(lr=1e-4)}
    with pytest.raises(BadInput, match=r"holds pickled objects besides tensors.*Namespace"):
        read_model(pickled(content, tmp_path / "trained.pt"))


def shapes(name: str) -> Weights:
    """Tensors of one number under a published tokenizer's names."""
    return dict.fromkeys(json.loads((GOLDEN / f"{name}.keys.json").read_text()), torch.zeros(1))


def renamed(weights: Weights, old: str, new: str) -> Weights:
    return {key.replace(old, new): tensor for key, tensor in weights.items()}


STRANGERS: dict[str, tuple[Callable[[Weights, Weights], Weights], str | None, str]] = {
    "vq16": (
        lambda _randar, _llamagen: shapes("vq16"),
        None,
        "looks like LlamaGen's tokenizer, .*import-tokenizer",
    ),
    "taming": (
        lambda _randar, _llamagen: shapes("taming1024"),
        "randar",
        "looks like a tokenizer of taming-transformers, expected a randar model",
    ),
    "maskgit": (lambda _randar, _llamagen: shapes("maskgit_vqgan"), None, "looks like MaskGIT's tokenizer"),
    "text-conditional": (
        lambda randar, _llamagen: renamed(
            randar, "cls_embedding.embedding_table.weight", "cls_embedding.cap_proj.fc1.weight"
        ),
        "randar",
        "looks like RandAR's text-conditional model",
    ),
    "text-conditional LlamaGen": (
        lambda _randar, llamagen: renamed(
            llamagen, "cls_embedding.embedding_table.weight", "cls_embedding.cap_proj.fc1.weight"
        ),
        None,
        "looks like LlamaGen's text-conditional model",
    ),
    "LlamaGen given as RandAR": (
        lambda _randar, llamagen: llamagen,
        "randar",
        "looks like LlamaGen's class-conditional model, expected a randar model; give --kind llamagen",
    ),
    "unknown": (
        lambda _randar, _llamagen: {"a.weight": torch.zeros(1), "b.bias": torch.zeros(1)},
        None,
        r"looks like nothing known \(its 2 tensors begin with a.weight, b.bias\), "
        "expected a model of randar or llamagen",
    ),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_another_checkpoint_is_told_by_what_it_looks_like(
    weights: Weights, llamagen: Weights, tmp_path: Path, stranger: str
) -> None:
    make, kind, says = STRANGERS[stranger]
    file = pickled({"model": make(weights, llamagen)}, tmp_path / "other.pt")
    with pytest.raises(BadInput, match=rf"other\.pt: {says}"):
        read_model(file, kind=kind)


@pytest.mark.parametrize("given", ["model.ckpt", "model"])
def test_a_model_is_published_in_one_of_two_forms(weights: Weights, tmp_path: Path, given: str) -> None:
    imported(read_model(flat(weights, tmp_path / "in.safetensors"), heads=4, grid=FOUR), tmp_path / "model")
    with pytest.raises(BadInput, match=r"published models are \.safetensors or \.pt"):
        write_model(tmp_path / "model", tmp_path / given)
