"""AdamW with the field's parameter groups, its learning rate over the run, clipping, and averaging."""

import torch
from torch import nn

from oarpipe.base.schedules import rate
from oarpipe.config.training import TrainConfig
from oarpipe.training.parallel import here, whole


def adamw(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """Weight decay on every tensor with two or more dimensions, embeddings included (RandAR §1.7)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    beta1, beta2 = config.betas
    fused = all(p.device.type in ("cpu", "cuda") for p in parameters)
    return torch.optim.AdamW(groups, lr=config.lr, betas=(beta1, beta2), fused=fused)


def set_rate(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Sets and returns the learning rate of a step (0-based)."""
    lr = config.lr * rate(config.schedule, step, config.steps)
    for group in optimizer.param_groups:
        group["lr"] = lr
    return lr


def clip(model: nn.Module, config: TrainConfig) -> torch.Tensor:
    """The global gradient norm before clipping; clips where the recipe asks for it."""
    limit = float("inf") if config.clip is None else config.clip
    return whole(nn.utils.clip_grad_norm_(model.parameters(), limit))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Moves the averaged weights 1 - `decay` of the way to the model's."""
    torch._foreach_lerp_(here(average.parameters()), here(model.parameters()), 1 - decay)
