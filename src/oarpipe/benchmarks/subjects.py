"""Models of random weights, whose answers differ from place to place as a trained model's do."""

import torch

from oarpipe.base.grid import Grid
from oarpipe.config.benchmarks import SubjectConfig
from oarpipe.config.training import Precision
from oarpipe.models.flops import ModelSize, ffn_width
from oarpipe.models.position_tokens import PositionTokens


def subject(
    config: SubjectConfig,
    device: torch.device | str = "cpu",
    precision: Precision = "float32",
    *,
    dropout: float = 0.0,
) -> PositionTokens:
    """A model of these sizes, in evaluation mode; in bfloat16 as `load_model` makes one."""
    layers, heads, width = config.size
    model = PositionTokens(
        grid=Grid(config.side, config.side),
        codebook=config.codebook,
        classes=config.classes,
        layers=layers,
        heads=heads,
        width=width,
        token_dropout=dropout,
        residual_dropout=dropout,
        ffn_dropout=dropout,
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator) * parameter.shape[-1] ** -0.5
            parameter.copy_(noise if parameter.ndim > 1 else torch.ones_like(noise))
    if precision == "bfloat16":
        rotary = model.rotary
        model.bfloat16().rotary = rotary
    return model.to(device).eval()


def size_of(config: SubjectConfig) -> ModelSize:
    """Its sizes, without a model."""
    layers, heads, width = config.size
    return ModelSize(layers, heads, width, ffn_width(width), config.codebook, config.side**2)


def told(config: SubjectConfig) -> str:
    """A model's sizes in words."""
    layers, heads, width = config.size
    return (
        f"width {width}, {layers} layers, {heads} heads, {config.codebook:,} codes, {config.side**2} tokens"
    )
