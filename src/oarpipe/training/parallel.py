"""A model that several processes train together: a copy each (DDP), or a share of it each (FSDP2).

Gradients are sums over the processes, since each one's loss is its share of the batch's mean. Weights and
moments are told in whole tensors, so a checkpoint fits any number of processes.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.futures import Future
from torch.nn.parallel import DistributedDataParallel

from oarpipe.base.devices import pick_device
from oarpipe.base.distributed import leads, world
from oarpipe.base.log import log
from oarpipe.config.models import ModelConfig
from oarpipe.models.flops import ModelSize
from oarpipe.models.memory import training_bytes
from oarpipe.models.token_model import TokenModel
from oarpipe.training.shares import shares

FULL = 0.9  # share of a GPU's memory that a copy of everything may take


def place(model: TokenModel, config: ModelConfig) -> None:
    """Moves a model to this process's device; one that is to be shared out goes there by and by."""
    if not must_be_shared(model, config):
        model.to(pick_device())


def must_be_shared(model: TokenModel, config: ModelConfig) -> bool:
    """Whether a copy of everything, and what a forward keeps, would be too much for one of several GPUs."""
    train = config.train
    samples = max(map(len, shares(train.batch, train.microbatch)))
    average = train.ema is not None
    size = ModelSize.of(model)
    needed = training_bytes(size, model.classes, samples=samples, precision=train.precision, average=average)
    return world().size > 1 and needed > FULL * _memory(pick_device())


def _memory(device: torch.device) -> float:
    """Bytes that a GPU has; a CPU's are no reason to share a model out."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else float("inf")


def share_out(model: TokenModel) -> None:
    """Every process keeps a share of each block's weights, and has the whole while it computes with it."""
    log.info("%d million parameters are shared out among %d processes (FSDP)", _millions(model), world().size)
    mesh = init_device_mesh(pick_device().type, (world().size,))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh)
        assert isinstance(module, FSDPModule)
        module.set_gradient_divide_factor(1.0)  # a sum, not a mean


class Together:
    """A loss whose gradients are those of all processes; `module` has the model in it.

    with together.part(is_last=True):
        together(tokens, order, labels).backward()

    Compiled it is one graph with the model's forward, or an error; of a model that is shared out, each
    block is compiled.
    """

    def __init__(self, module: nn.Module, model: TokenModel, *, compiled: bool) -> None:
        self._model = model
        self._module: Callable[..., Tensor] = module
        if isinstance(model, FSDPModule):
            for block in model.blocks if compiled else []:
                block.compile(fullgraph=True, dynamic=False)
            return
        if compiled:
            module.compile(fullgraph=True, dynamic=False)
        if world().size > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch 2.13 renames broadcast_buffers
                copy = DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)
            copy.register_comm_hook(None, _sum_of_bucket)
            self._module = copy

    def __call__(self, *arguments: Tensor) -> Tensor:
        return self._module(*arguments)

    def part(self, *, is_last: bool) -> AbstractContextManager[Any]:
        """For one part of a step; gradients are exchanged with the last."""
        if isinstance(self._model, FSDPModule):
            self._model.set_requires_gradient_sync(is_last)
        if isinstance(self._module, DistributedDataParallel) and not is_last:
            return self._module.no_sync()
        return nullcontext()


def _sum_of_bucket(_: None, bucket: dist.GradBucket) -> Future[Tensor]:
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    assert work is not None
    future: Future[Tensor] = work.get_future().then(lambda done: done.value()[0])
    return future


def sum_gradients(*modules: nn.Module) -> None:
    """Gives each process the gradients of all, in one exchange after the last backward pass."""
    if world().size == 1:
        return
    gradients = [p.grad for module in modules for p in module.parameters() if p.grad is not None]
    together = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(together)
    sums = together.split([gradient.numel() for gradient in gradients])
    for gradient, total in zip(gradients, sums, strict=True):
        gradient.copy_(total.view_as(gradient))


def here(parameters: Iterable[Tensor]) -> list[Tensor]:
    """What this process has of each."""
    return [p.to_local() if isinstance(p, DTensor) else p for p in parameters]


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each process may have a share; all ask for it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors; shares meet on the CPU of the first process, and the others get nothing."""
    kept = {}
    for name, tensor in tensors.items():
        one = whole(tensor.detach())
        if leads():
            kept[name] = one.cpu() if isinstance(tensor, DTensor) else one
    return kept


def shared_out(tensor: Tensor, like: Tensor) -> Tensor:
    """Of a whole tensor what this process has of `like`, which may be a share."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _millions(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters()) // 10**6
