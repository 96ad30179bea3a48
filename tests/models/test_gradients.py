"""The gradients written by hand: against finite differences, and against the formulas beside them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from oarpipe.base.grid import Grid
from oarpipe.models import gradients
from oarpipe.models.gradients import Dropout, gated, rms_norm, rows_of, turned
from oarpipe.models.positions import rotary_table, rotate

ROTATION = rotary_table(Grid(2, 2), 8)[None, :, None]  # [1, 5, 1, 4, 2]: the class row and four places
WIDTH, CHANNELS = 24, 16  # one head of queries, of keys, of values


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def rotation(x: Tensor) -> Tensor:
    """In float32 or wider, as the model holds it."""
    return ROTATION.to(torch.promote_types(x.dtype, torch.float32)).expand(len(x), -1, -1, -1, -1)


def turn(x: Tensor) -> Tensor:
    return turned(x * 1.0, rotation(x), CHANNELS)


def plain_turn(x: Tensor) -> Tensor:
    return gradients.plain_turned(x, rotation(x), CHANNELS)


def norm(x: Tensor) -> Tensor:
    return rms_norm(x, weight(x), 1e-5)


def plain_norm(x: Tensor) -> Tensor:
    return gradients.plain_rms_norm(x, weight(x), 1e-5)


def weight(x: Tensor) -> Tensor:
    """Depends on x, so that its gradient is looked at too."""
    return 1 + x.flatten(0, -2)[0]


def gate(x: Tensor) -> Tensor:
    return gated(*x.chunk(2, dim=-1))


def plain_gate(x: Tensor) -> Tensor:
    return gradients.plain_gated(*x.chunk(2, dim=-1))


PAIRS = {"norm": (norm, plain_norm), "gate": (gate, plain_gate), "turn": (turn, plain_turn)}


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    assert torch.autograd.gradcheck(PAIRS[name][0], (drawn(2, 5, WIDTH),))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_values_and_gradients_are_those_of_the_formula(name: str, dtype: torch.dtype, within: float) -> None:
    found, expected = (_with_gradient(function, drawn(2, 5, WIDTH, dtype=dtype)) for function in PAIRS[name])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        assert (ours - theirs).abs().max() <= within * theirs.abs().max()


@pytest.mark.parametrize("name", PAIRS)
def test_without_gradients_the_values_are_the_same(name: str) -> None:
    function = PAIRS[name][0]
    with_gradient = function(drawn(2, 5, WIDTH)).detach()
    with torch.no_grad():
        assert torch.equal(function(drawn(2, 5, WIDTH)), with_gradient)


@pytest.mark.parametrize("name", PAIRS)
def test_in_bfloat16_they_round_as_the_formula_does(name: str) -> None:
    found, expected = (function(drawn(2, 5, WIDTH, dtype=torch.bfloat16)) for function in PAIRS[name])
    assert found.dtype == expected.dtype == torch.bfloat16
    assert (found - expected).abs().max() <= 2**-7 * expected.abs().max()


def test_a_turn_is_made_in_place_and_leaves_the_gradient_it_was_given_alone() -> None:
    x = drawn(2, 5, WIDTH)
    qkv = x * 1.0
    result = turned(qkv, rotation(x), CHANNELS)
    assert result.data_ptr() == qkv.data_ptr()
    given = torch.ones(2, 5, WIDTH, dtype=torch.float64)
    result.backward(given)
    assert bool((given == 1).all())


def test_turning_is_the_same_with_real_numbers() -> None:
    """What compilers are given, written out."""
    x = drawn(2, 5, 3, 8)
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = ROTATION.unbind(-1)
    expected = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
    assert torch.allclose(rotate(x, ROTATION), expected, atol=1e-14)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share_of_numbers_and_of_their_gradients(p: float) -> None:
    x = torch.ones(100_003, requires_grad=True)
    torch.manual_seed(1)
    y = Dropout(p)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y.detach())  # the same are dropped, and the same scale
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-4)
    assert float((y == 0).double().mean()) == pytest.approx(p, abs=0.006)  # four standard deviations
    assert not torch.equal(Dropout(p)(x), y)
    torch.manual_seed(1)
    assert torch.equal(Dropout(p)(x), y)


def test_what_is_dropped_in_one_place_says_nothing_about_the_next() -> None:
    torch.manual_seed(2)
    kept = (Dropout(0.5)(torch.ones(1_000, 400)) > 0).double() - 0.5
    for step in (1, 2, 3, 4, 400):
        assert abs(float((kept.flatten()[step:] * kept.flatten()[:-step]).mean())) < 0.0016 * 0.25 * 4


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (0.3, False)])
def test_dropout_that_is_off_changes_nothing(p: float, training: bool) -> None:
    x = drawn(7, 3)
    assert torch.equal(Dropout(p).train(training)(x), x)


def test_everything_may_be_dropped() -> None:
    assert not Dropout(1.0)(drawn(4)).any()


def _with_gradient(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    y = function(x)
    upstream = torch.arange(y.numel(), dtype=x.dtype).view(y.shape).cos()
    (gradient,) = torch.autograd.grad(y, x, upstream)
    return y.detach(), gradient


@pytest.mark.parametrize("by_torch", [False, True])
def test_rows_of_a_batch_are_dropped_as_they_are_in_the_whole(
    by_torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also as on GPUs and in compiled graphs, where torch draws."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: by_torch)
    x = torch.randn(7, 5, 3, dtype=torch.float64)
    torch.manual_seed(0)
    whole = Dropout(0.3)(x)
    assert (whole == 0).any()
    for rows in (slice(0, 3), slice(3, 7)):
        torch.manual_seed(0)
        with rows_of(rows.start, 7):
            torch.testing.assert_close(Dropout(0.3)(x[rows]), whole[rows], rtol=1e-12, atol=0)
    torch.manual_seed(0)
    with rows_of(0, 7):
        assert torch.equal(Dropout(0.3)(x), whole)
