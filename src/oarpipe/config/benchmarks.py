"""What a benchmark measures: which sections, on which sizes of models, how often."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Strict
from oarpipe.config.models import PRESETS
from oarpipe.config.training import Precision

Section = Literal[
    "table8",
    "oracle",
    "extraction",
    "exact",
    "generation",
    "training",
    "images",
    "loader",
    "memory",
    "profile",
]


class SubjectConfig(Strict):
    """A model of random weights."""

    preset: Literal["tiny", "B", "L", "XL", "XXL"] = Field("tiny", description="layers, heads and width")
    layers: int | None = Field(None, ge=1, description="overrides the preset")
    heads: int | None = Field(None, ge=1, description="overrides the preset")
    width: int | None = Field(None, ge=8, description="overrides the preset")
    codebook: int = Field(1024, ge=2, description="number of codes")
    side: int = Field(16, ge=2, description="of the square grid, in tokens")
    classes: int = Field(1000, ge=1)

    @model_validator(mode="after")
    def _fits(self) -> "SubjectConfig":
        _, heads, width = self.size
        if width % heads or (width // heads) % 4:
            raise ValueError(f"width {width} over {heads} heads: 2-D rotary positions need a multiple of 4")
        return self

    @property
    def size(self) -> tuple[int, int, int]:
        """Layers, heads and width."""
        layers, heads, width = PRESETS[self.preset]
        return self.layers or layers, self.heads or heads, self.width or width


class BenchmarkConfig(Strict):
    """How fast this machine walks, trains and reads, each beside its floor; needs no other entry."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")
    precision: Precision = Field("float32", description="of all sections; generation has the other one too")
    sections: list[Section] = Field(
        [
            "table8",
            "oracle",
            "extraction",
            "exact",
            "generation",
            "training",
            "images",
            "loader",
            "memory",
            "profile",
        ],
        min_length=1,
        description="what is measured, besides the machine itself",
    )
    small: SubjectConfig = Field(
        SubjectConfig(layers=4, heads=4, width=128, side=8, codebook=128),
        description="model of table8, oracle and memory, which the slowest decoders must get through",
    )
    model: SubjectConfig = Field(
        SubjectConfig(layers=8, heads=6, width=384),
        description="model of extraction, generation, training and profile",
    )
    large: SubjectConfig = Field(
        SubjectConfig(preset="B", codebook=16384), description="model of exact, whose walk is sampled"
    )
    extracted: int = Field(2, ge=1, description="images extracted together")
    batches: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 8], min_length=1, description="images generated together; the last is also training's batch"
    )
    every: int = Field(
        16, ge=1, description="one step in so many is timed, where a walk is sampled; 1: all of them"
    )
    resolution: int = Field(256, ge=16, multiple_of=16, description="side of the images, in pixels")
    rounds: int = Field(3, ge=1, description="times that everything is measured, in turn")
    patience: float = Field(
        10.0, gt=0, description="seconds; what takes longer is measured once, or by a sample of its steps"
    )
