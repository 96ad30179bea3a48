"""RandAR's transformer: the official outputs, and what must hold for any weights."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.models import PRESETS
from oarpipe.models import load_model, save_model
from oarpipe.models.flops import ModelSize
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.algebra import apply

Golden = dict[str, np.ndarray]


def test_logits_equal_the_official_implementation(randar: PositionTokens, randar_golden: Golden) -> None:
    tokens, order, labels = (torch.tensor(randar_golden[k]).long() for k in ("tokens", "order", "labels"))
    logits = randar(tokens, order, labels)
    assert np.abs(logits.detach().numpy() - randar_golden["logits"]).max() < 2e-4
    null = randar(tokens, order, torch.full_like(labels, randar.null_label))
    assert np.abs(null.detach().numpy() - randar_golden["logits_null"]).max() < 2e-4
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), apply(order, tokens).flatten())
    assert abs(loss.item() - float(randar_golden["loss"])) < 1e-5


def test_the_first_loss_is_ln_v(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model(fresh=True)
    logits = model(torch.zeros(2, 16).long(), torch.arange(16).expand(2, -1), torch.tensor([0, 1]))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(0, 11, (32,)))
    assert loss.item() == pytest.approx(math.log(11), abs=1e-6)


def test_no_step_sees_its_own_token_or_a_later_one(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model()
    order = torch.randperm(16)[None]
    tokens = torch.randint(0, 11, (1, 16))
    before = model(tokens, order, torch.tensor([3]))
    for step in range(16):
        changed = tokens.clone()
        changed[0, order[0, step]] = (changed[0, order[0, step]] + 1) % 11
        after = model(changed, order, torch.tensor([3]))
        assert torch.equal(after[:, : step + 1], before[:, : step + 1])
        if step < 15:
            assert not torch.equal(after[:, step + 1 :], before[:, step + 1 :])


def test_no_step_sees_where_a_later_one_goes(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model()
    tokens = torch.randint(0, 11, (1, 16))
    order = torch.arange(16)[None]
    swapped = order.clone()
    swapped[0, 10], swapped[0, 15] = 15, 10
    first, second = (model(tokens, o, torch.tensor([0])) for o in (order, swapped))
    assert torch.equal(first[:, :10], second[:, :10])


def test_a_prefix_of_an_order_gets_the_answers_of_the_whole(
    tiny_model: Callable[..., PositionTokens],
) -> None:
    model = tiny_model().double()
    tokens, order, labels = (
        torch.randint(0, 11, (2, 16)),
        torch.randperm(16).expand(2, -1),
        torch.tensor([1, 2]),
    )
    assert torch.allclose(
        model(tokens, order[:, :5], labels), model(tokens, order, labels)[:, :5], atol=1e-12
    )


def test_shuffling_the_batch_shuffles_the_answers(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model().double()
    tokens = torch.randint(0, 11, (4, 16))
    order = torch.stack([torch.randperm(16) for _ in range(4)])
    labels, shuffle = torch.arange(4), torch.tensor([2, 0, 3, 1])
    answers = model(tokens, order, labels)
    assert torch.allclose(
        model(tokens[shuffle], order[shuffle], labels[shuffle]), answers[shuffle], atol=1e-12
    )


@pytest.mark.parametrize(
    ("preset", "codebook", "parameters", "in_blocks"),
    [
        ("B", 16384, 110_889_216, 84_934_656),
        ("L", 16384, 342_912_000, 308_281_344),
        ("XL", 16384, 774_700_800, 731_381_760),
        ("XXL", 16384, 1_410_974_208, 1_358_954_496),
        ("L", 1024, 311_454_720, 308_281_344),  # MaskGIT's vocabulary
    ],
)
def test_the_published_sizes_have_the_published_parameter_counts(
    preset: str, codebook: int, parameters: int, in_blocks: int
) -> None:
    layers, heads, width = PRESETS[preset]
    with torch.device("meta"):
        model = PositionTokens(
            grid=Grid(16, 16), codebook=codebook, classes=1000, layers=layers, heads=heads, width=width
        )
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert ModelSize.of(model).block_parameters == in_blocks
    assert len(model.state_dict()) == 7 * layers + 5


def test_token_dropout_touches_only_the_codes(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model(token_dropout=1.0).train()
    labels, order = torch.tensor([1]), torch.arange(16)[None]
    one, other = (model(torch.full((1, 16), code), order, labels) for code in (3, 4))
    assert torch.equal(one, other)  # with every code dropped, only class and positions are left
    assert not torch.equal(one, model(torch.full((1, 16), 3), order, torch.tensor([2])))


def test_a_saved_model_loads_bit_for_bit(tiny_model: Callable[..., PositionTokens], tmp_path) -> None:
    model = tiny_model()
    save_model(tmp_path, model)
    loaded = load_model(tmp_path)
    assert loaded.grid == model.grid
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
