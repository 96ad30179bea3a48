"""The published tokenizers are the same functions as their official implementations, at full size."""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oarpipe import load_tokenizer
from oarpipe.stages.import_tokenizer import import_tokenizer
from oarpipe.tokenizers.networks import Network, build
from oarpipe.tokenizers.published import LAYOUTS
from tests.conftest import GOLDEN, published_tensor

# The golden file; what surrounds the weights in the published file and its suffix; the range of images.
PUBLISHED: dict[str, tuple[str, Any, str, tuple[float, float]]] = {
    "llamagen": ("vq16", lambda weights: {"model": weights}, "pt", (-1, 1)),
    "taming": (
        "taming1024",
        lambda weights: {
            "epoch": 7,
            "state_dict": {
                **weights,
                "loss.discriminator.main.0.weight": torch.zeros(2),
                "loss.perceptual_loss.lin0.model.1.weight": torch.zeros(2),
            },
        },
        "ckpt",
        (-1, 1),
    ),
    "maskgit": ("maskgit_vqgan", lambda weights: weights, "bin", (0, 1)),
}
PARAMETERS = {"llamagen": 71_883_403, "taming": 72_141_699, "maskgit": 54_515_587}


def names_and_shapes(golden: str) -> dict[str, tuple[int, ...]]:
    listed = json.loads((GOLDEN / f"{golden}.keys.json").read_text())
    return {key: tuple(shape) for key, (shape, _) in listed.items()}


@dataclass
class Case:
    kind: str
    network: Network
    arrays: dict[str, np.ndarray]

    @property
    def images(self) -> Tensor:
        low, high = PUBLISHED[self.kind][3]
        images = torch.from_numpy(self.arrays["image"])
        return (images + 1) / 2 * (high - low) + low


@pytest.fixture(scope="module", params=PUBLISHED)
def case(request: pytest.FixtureRequest) -> Case:
    """A tokenizer imported from a file as it is published, by the command's own function."""
    golden, wrapped, suffix, _ = PUBLISHED[request.param]
    weights = {key: published_tensor(key, shape) for key, shape in names_and_shapes(golden).items()}
    with np.load(GOLDEN / f"{golden}_dev.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    with TemporaryDirectory() as folder:  # these are hundreds of megabytes, which pytest would keep
        file = Path(folder) / f"published.{suffix}"
        torch.save(wrapped(weights), file)
        import_tokenizer(weights=file, out=Path(folder) / "out")
        network = load_tokenizer(Path(folder) / "out")
    assert isinstance(network, Network)
    return Case(request.param, network, arrays)


def test_the_encoder_gives_the_published_indices(case: Case) -> None:
    tokens = case.network.tokens_of(case.images)
    equal = int((tokens.numpy() == case.arrays["indices"]).sum())
    assert equal >= 31  # of 32: a near-tie may flip


def test_the_decoder_gives_the_published_images(case: Case) -> None:
    codes = torch.from_numpy(case.arrays["codes"]).long()
    decoded = case.network.images_of(codes, case.network.grid(64))
    assert (decoded - torch.from_numpy(case.arrays["decoded"])).abs().max() < 2e-3


def test_bytes_go_through_the_published_range(case: Case) -> None:
    """uint8 in and out: what the protocol promises agrees with the network's own range."""
    low, high = PUBLISHED[case.kind][3]
    pixels = torch.randint(0, 256, (1, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    tokens = case.network.encode(pixels.to(torch.uint8))
    assert torch.equal(tokens, case.network.tokens_of(pixels.float() / 255 * (high - low) + low))
    decoded = case.network.decode(tokens, case.network.grid(32))
    exact = (case.network.images_of(tokens, case.network.grid(32)) - low) / (high - low) * 255
    assert decoded.dtype == torch.uint8
    assert (decoded - exact.clamp(0, 255)).abs().max() <= 1


def test_it_has_the_published_number_of_parameters(case: Case) -> None:
    assert sum(tensor.numel() for tensor in case.network.parameters()) == PARAMETERS[case.kind]


def test_tamings_large_codebook_has_the_published_number_of_parameters() -> None:
    shapes = names_and_shapes("taming1024") | {"quantize.embedding.weight": (16384, 256)}
    anatomy = LAYOUTS["taming"].anatomy(
        {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    )
    network = build(anatomy, "meta")
    assert sum(tensor.numel() for tensor in network.parameters()) == 76_073_859
    assert {
        LAYOUTS["taming"].name(key, 5): tuple(t.shape) for key, t in network.state_dict().items()
    } == shapes
