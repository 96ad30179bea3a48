"""The closed form of a training step's memory, against what autograd keeps."""

import contextlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.models.flops import ModelSize
from oarpipe.models.memory import kept_bytes, training_bytes
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.training.objective import nll


def kept(model: PositionTokens, samples: int, precision: str) -> int:
    """The bytes of every storage that a forward saves for its backward, the parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in [*model.parameters(), *model.buffers()]}
    found: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    unpack: Callable[[Tensor], Tensor] = lambda tensor: tensor  # noqa: E731
    order = torch.arange(16).repeat(samples, 1)
    bf16 = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else contextlib.nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(keep, unpack), bf16:
        nll(model, torch.zeros(samples, 16).long(), order, torch.zeros(samples).long())
    return sum(t.untyped_storage().nbytes() for at, t in found.items() if at not in own)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("width", [64, 192])
def test_what_autograd_keeps_of_a_sample_grows_as_said(precision: str, width: int) -> None:
    def model(layers: int) -> PositionTokens:
        dropouts = {"token_dropout": 0.1, "residual_dropout": 0.1, "ffn_dropout": 0.1}
        return PositionTokens(
            grid=Grid(4, 4), codebook=8, classes=2, layers=layers, heads=2, width=width, **dropouts
        )

    def grown(m: PositionTokens) -> float:
        """Of one more sample; so autocast's copies of the weights fall out."""
        return (kept(m, 6, precision) - kept(m, 2, precision)) / 4

    small, large = model(2), model(5)
    told = kept_bytes(ModelSize.of(large), precision) - kept_bytes(ModelSize.of(small), precision)
    assert told == pytest.approx(grown(large) - grown(small), rel=0.05)


def test_the_optimisers_state_is_four_times_the_weights() -> None:
    size = ModelSize(layers=36, heads=20, width=1280, hidden=3584, codebook=16384, positions=256)
    alone = training_bytes(size, 1000, samples=0, precision="float32", average=False)
    assert alone == 16 * 774_700_800
