"""Sums over the processes of a command. In a command of one process nothing is added, and no bit changes."""

from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Int, Shaped
from torch import Tensor

from oarpipe.base.distributed import world


def summed(tensor: Shaped[Tensor, "*S"]) -> Shaped[Tensor, "*S"]:
    """The sum over all processes. Its gradient is summed too: every process's loss depends on it."""
    if world().size == 1:
        return tensor
    total: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call]  # torch's
    return total


def assembled(part: Shaped[Tensor, "R *S"], rows: Int[Tensor, " R"], length: int) -> Shaped[Tensor, "B *S"]:
    """A tensor of `length` rows, of which this process has `rows` and the others have the others."""
    if world().size == 1:
        return part
    whole = part.new_zeros(length, *part.shape[1:])
    whole[rows] = part
    return summed(whole)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        return _added(mine)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _added(grad)


def _added(mine: Tensor) -> Tensor:
    total = mine.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
