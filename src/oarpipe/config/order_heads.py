"""Order heads: what predicts the greedy walk of one model, and what it is trained on."""

from typing import Annotated

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.orders import MonitorConfig
from oarpipe.config.training import Probability, TrainConfig


class OrderHeadConfig(Strict):
    """A small head on a frozen model that learns which open place its extracted orders fill next."""

    model: Annotated[str, Ref("models")] = Field(description="frozen body")
    tokens: Annotated[str, Ref("tokens")] = Field(description="token store the orders were extracted from")
    orders: Annotated[str, Ref("orders")] = Field(
        description="greedy walks to learn, best by this very model"
    )
    width: int = Field(128, ge=8, description="of the head's only hidden layer")
    dropout: Probability = Field(0.1, description="on the head's hidden values")
    patience: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5,
        description="weight of a place in the loss falls by this factor a step that it is away; 0: next only",
    )
    held_out: float = Field(
        0.1, gt=0, lt=1, description="share of the extraction's images that validate and do not train"
    )
    monitor: MonitorConfig = MonitorConfig()
    train: TrainConfig

    @model_validator(mode="after")
    def _is_small(self) -> "OrderHeadConfig":
        beyond = [key for key in ("microbatch", "ema") if getattr(self.train, key) is not None]
        beyond += ["compile"] if self.train.compile else []
        if beyond:
            raise ValueError(f"train.{beyond[0]} is for whole models; a head is trained without it")
        return self
