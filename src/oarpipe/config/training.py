"""How anything is trained: steps, optimiser, schedules, precision, and when to look and to save."""

from typing import Annotated, Literal

from pydantic import Field

from oarpipe.config.base import Strict

Probability = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["float32", "bfloat16"]
# Images walked together; `auto` is settled by the first job of an entry, and told by its receipt.
Batch = Annotated[int, Field(ge=1)] | Literal["auto"]


class ScheduleConfig(Strict):
    """A learning rate over the run: linear warm-up, then constant, linear or cosine decay."""

    kind: Literal["constant", "linear", "cosine"] = "cosine"
    warmup: Probability = Field(0.0, description="share of the steps spent warming up from zero")
    final: Probability = Field(0.05, description="share of the peak rate that remains at the end")


class TrainConfig(Strict):
    """One training run. The batch is global: it does not change with processes or microbatches."""

    steps: int = Field(ge=1, description="optimiser steps")
    batch: int = Field(64, ge=1, description="samples a step")
    microbatch: int | None = Field(None, ge=1, description="samples a forward pass; null: the whole batch")
    lr: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: ScheduleConfig = ScheduleConfig()
    betas: list[Probability] = Field(
        [0.9, 0.95], min_length=2, max_length=2, description="AdamW's moment decays"
    )
    weight_decay: float = Field(0.05, ge=0, description="on every tensor with two or more dimensions")
    clip: float | None = Field(1.0, gt=0, description="largest global gradient norm; null: no clipping")
    ema: Probability | None = Field(None, description="decay of the averaged weights; null: no average")
    precision: Precision = Field("float32", description="bfloat16 means autocast over float32 weights")
    compile: bool = Field(False, description="torch.compile the model (pays on GPUs)")
    validate_every: int | None = Field(None, ge=1, description="steps between validations; null: never")
    log_every: int = Field(10, ge=1, description="steps between lines of metrics.jsonl")
    checkpoint_minutes: float = Field(5.0, gt=0, description="minutes between checkpoints")
