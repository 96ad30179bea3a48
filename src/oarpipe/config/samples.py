"""Generated sample sets, and the search for an arm's best setting."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.datasets import Split
from oarpipe.config.orders import PolicyConfig, read_image_by_image
from oarpipe.config.training import Batch, Precision


class GuidanceConfig(Strict):
    """Classifier-free guidance: logits = null + scale x (conditional - null)."""

    scale: float = Field(1.0, ge=0, description="1 is no guidance")
    schedule: Literal["constant", "linear"] = Field(
        "constant", description="linear grows from 1 with the share of tokens filled (RandAR)"
    )
    places: Literal["conditional", "guided"] = Field(
        "conditional", description="whose confidence chooses the places"
    )


class SamplesConfig(Strict):
    """Images from a model: which order they are filled in, how codes are drawn, how many."""

    model: Annotated[str, Ref("models")]
    count: int = Field(50_000, ge=1, description="images in all")
    classes: list[int] | None = Field(
        None, description="classes to draw, in turn; null: every class, balanced"
    )
    policy: PolicyConfig
    temperature: float = Field(1.0, gt=0)
    top_k: int | None = Field(None, ge=1, description="codes kept; null: all")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="probability mass kept")
    draw: Literal["inverse", "gumbel"] = Field(
        "inverse", description="one uniform a token through the inverse distribution, or Gumbel noise a code"
    )
    guidance: GuidanceConfig = GuidanceConfig()
    precision: Precision = Field(
        "float32",
        description="of the walk's weights and activations; scores are float32 (bfloat16 suits GPUs)",
    )
    batch: Batch = Field(
        64,
        description="images walked together, the same for all shards; auto: as the first one's memory allows",
    )
    shard: int = Field(512, ge=1, description="images a zarr shard, the unit of writing and resuming")

    @model_validator(mode="after")
    def _has_no_table(self) -> "SamplesConfig":
        if self.policy.select == "follow" and read_image_by_image(self.policy.order):
            raise ValueError(
                "a new sample has no row in an order table; follow a class_mean, another image's, or a rule"
            )
        if self.policy.select != "follow" and self.policy.score == "truth":
            raise ValueError("a new sample has no true token; choose max_prob, margin or entropy")
        return self


class SearchConfig(Strict):
    """One grid of settings for many arms: each arm's best is chosen on one split, then sampled whole."""

    samples: Annotated[list[str], Ref("samples")] = Field(min_length=1, description="arms to search")
    temperatures: list[Annotated[float, Field(gt=0)]] = Field([1.0], min_length=1)
    guidances: list[Annotated[float, Field(ge=0)]] = Field([1.0], min_length=1)
    count: int = Field(500, ge=10, description="images a setting")
    bootstrap: int = Field(100, ge=0, description="resamplings behind the interval of a setting; 0: none")
    dataset: Annotated[str, Ref("datasets")] = Field(description="images to come close to")
    split: Split = Field("test", description="split to choose on; never the one that is reported on")
    features: Annotated[str, Ref("features")] = Field(description="network that measures the distance")
