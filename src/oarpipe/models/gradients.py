"""Four parts of a block with gradients written by hand, each beside the formula that it equals.

What autograd makes of these formulas reads and keeps two to four times as much memory as they need, and
on a CPU a block's time outside its products is memory's. A compiler does better from the formulas,
so inside `torch.compile` they are what runs.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from oarpipe.models.positions import rotate

CHANCES = 2**16  # dropout draws 16 bits a number


def rms_norm(x: Float[Tensor, "*S D"], weight: Float[Tensor, " D"], eps: float) -> Float[Tensor, "*S D"]:
    """x / rms(x) in float32 or wider, cast back, then times `weight`."""
    if torch.compiler.is_compiling():
        return plain_rms_norm(x, weight, eps)
    if torch.is_grad_enabled():
        return _apply(_RMSNorm, x, weight, eps)
    return _scaled(x, _over_rms(x, eps), weight)


def gated(gate: Float[Tensor, "*S F"], up: Float[Tensor, "*S F"]) -> Float[Tensor, "*S F"]:
    """silu(gate) up. Without gradients the result takes the place of `gate`."""
    if torch.compiler.is_compiling():
        return plain_gated(gate, up)
    if torch.is_grad_enabled():
        return _apply(_Gated, gate, up)
    return nn.functional.silu(gate, inplace=True).mul_(up)


def turned(
    qkv: Float[Tensor, "B S W"], rotation: Float[Tensor, "B S 1 F 2"], channels: int
) -> Float[Tensor, "B S W"]:
    """The first `channels` of `qkv`, queries and keys, turned head by head; in the place of `qkv`."""
    if torch.compiler.is_compiling():
        return plain_turned(qkv, rotation, channels)
    if torch.is_grad_enabled():
        return _apply(_Turned, qkv, rotation, channels)
    return _turn(qkv, rotation, channels)


class Dropout(nn.Dropout):
    """`nn.Dropout` at a third of its cost on CPUs; `p` is met to the nearest 1/65,536.

    Where processes share a batch it draws for all rows and takes its own, so that they drop together
    what one process would: `with rows_of(16, 64): model(...)`.
    """

    rows: ClassVar[tuple[int, int] | None] = None  # the first that is given, and how many there are

    def forward(self, x: Float[Tensor, "*S D"]) -> Float[Tensor, "*S D"]:
        if self.p == 0 or not self.training:
            return x
        first, size = Dropout.rows or (0, len(x))
        if x.device.type == "cpu" and not torch.compiler.is_compiling() and self.p != 1:
            return _apply(_Dropout, x, round(self.p * CHANCES), (first, size))
        if size == len(x):
            return super().forward(x)
        return x * super().forward(x.new_ones(size, *x.shape[1:]))[first : first + len(x)]


@contextmanager
def rows_of(first: int, size: int) -> Iterator[None]:
    """Within, models are given the rows from `first` on of a batch of `size`."""
    before, Dropout.rows = Dropout.rows, (first, size)
    try:
        yield
    finally:
        Dropout.rows = before


def _apply(function: type[torch.autograd.Function], *arguments: Any) -> Tensor:
    result: Tensor = function.apply(*arguments)
    return result


def plain_rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The formula of `rms_norm`."""
    return nn.functional.rms_norm(_wide(x), (x.shape[-1],), eps=eps).to(x.dtype) * weight


def plain_gated(gate: Tensor, up: Tensor) -> Tensor:
    """The formula of `gated`."""
    return nn.functional.silu(gate) * up


def plain_turned(qkv: Tensor, rotation: Tensor, channels: int) -> Tensor:
    """The formula of `turned`."""
    heads = qkv[..., :channels].unflatten(-1, (-1, 2 * rotation.shape[-2]))
    return torch.cat([rotate(heads, rotation).flatten(-2), qkv[..., channels:]], dim=-1)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        over_rms = _over_rms(x, eps)
        ctx.save_for_backward(x, weight, over_rms)
        return _scaled(x, over_rms, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """With y = x / rms(x): w' = sum of g y, and x' = (g w - y mean(g w y)) / rms(x)."""
        x, weight, over_rms = ctx.saved_tensors
        width = x.shape[-1]
        y = (_wide(x) * over_rms).view(-1, width)
        grad_y = grad.reshape(-1, width) * y
        weight_grad = grad_y.sum(0)
        mean = (grad_y @ weight.to(y.dtype)).div_(width).unsqueeze(1)
        torch.mul(grad.reshape(-1, width), weight, out=grad_y)
        grad_x = grad_y.addcmul_(y, mean, value=-1).view(x.shape).mul_(over_rms)
        return grad_x.to(x.dtype), weight_grad.to(weight.dtype), None


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return nn.functional.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        grad_gate = torch.ops.aten.silu_backward(grad * up, gate)
        return grad_gate, nn.functional.silu(gate).mul_(grad)


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, rotation: Tensor, channels: int) -> Tensor:
        ctx.mark_dirty(qkv)
        ctx.save_for_backward(rotation)
        ctx.channels = channels
        return _turn(qkv, rotation, channels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """A turn backwards."""
        (rotation,) = ctx.saved_tensors
        back = torch.view_as_real(torch.view_as_complex(rotation).conj_physical())
        return _turn(grad.clone(memory_format=torch.contiguous_format), back, ctx.channels), None, None


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: int, rows: tuple[int, int]) -> Tensor:
        first, size = rows
        shape = (size, *x.shape[1:])
        words = torch.empty(-(-math.prod(shape) // 4), dtype=torch.int64).random_(-(2**63), None)
        draws = words.view(torch.int16)[: math.prod(shape)].view(shape)[first : first + len(x)]
        ctx.save_for_backward(draws)
        ctx.dropped = dropped
        return _drop(x, draws, dropped)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (draws,) = ctx.saved_tensors
        return _drop(grad, draws, ctx.dropped), None, None


def _wide(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _over_rms(x: Tensor, eps: float) -> Tensor:
    """1 / rms(x)  [*S, 1]"""
    norm: Tensor = torch.linalg.vector_norm(_wide(x), dim=-1, keepdim=True)
    return norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()


def _scaled(x: Tensor, over_rms: Tensor, weight: Tensor) -> Tensor:
    y: Tensor = (_wide(x) * over_rms).to(x.dtype)
    return y.mul_(weight) if y.dtype == weight.dtype else y * weight


def _turn(qkv: Tensor, rotation: Tensor, channels: int) -> Tensor:
    heads = qkv[..., :channels].unflatten(-1, (-1, 2 * rotation.shape[-2]))
    if qkv.dtype == rotation.dtype:
        torch.view_as_complex(heads.unflatten(-1, (-1, 2))).mul_(torch.view_as_complex(rotation))
    else:
        heads.copy_(rotate(heads, rotation))
    return qkv


def _drop(x: Tensor, draws: Tensor, dropped: int) -> Tensor:
    """Zero where a draw is among the `dropped` lowest of 65,536, else scaled to keep the mean."""
    kept = torch.empty_like(x)
    torch.ge(draws, dropped - CHANCES // 2, out=kept)
    return kept.mul_(x).mul_(CHANCES / (CHANCES - dropped))
