"""Orders: the rules that name one, the sources that give one a sample, the policies that find one."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.datasets import Count, Split
from oarpipe.config.training import Batch, Precision

RuleName = Literal[
    "raster",
    "column",
    "zigzag",
    "diagonal",
    "spiral",
    "stride2",
    "multiscale",
    "locality",
    "halton",
    "fixed_random",
]


class RuleConfig(Strict):
    """The same geometric order for every sample; `fixed_random` is one permutation drawn from the seed."""

    kind: Literal["rule"]
    name: RuleName


class RandomConfig(Strict):
    """A fresh uniform permutation for every sample and visit."""

    kind: Literal["random"] = "random"


class PermutationConfig(Strict):
    """A uniform permutation for every sample, or for every class, that stays the same at every visit."""

    kind: Literal["permutation"]
    per: Literal["sample", "class"] = Field(
        "sample", description="sample: as many random orders as an extraction has; class: one a class"
    )


class LocalityConfig(Strict):
    """Near what is filled, and the places of a step far from one another (LPD's rule), for every sample."""

    kind: Literal["locality"]
    steps: int = Field(ge=1, description="forward passes in all, on the cosine: those of `per_step`")
    apart: float = Field(
        2.0, ge=0, description="cells that lie between places of a step, while there are such"
    )


class ClassMeanConfig(Strict):
    """One order a class: positions by their mean step in the class's extracted training orders."""

    kind: Literal["class_mean"]
    orders: Annotated[str, Ref("orders")] = Field(description="extraction to average")


class AnotherConfig(Strict):
    """The extracted order of another image of the class, for every sample the same one.

    What it keeps of the extracted orders is all but whose they are.
    """

    kind: Literal["another"]
    orders: Annotated[str, Ref("orders")] = Field(description="extraction to read")


# An order for any image whatever, and not only for those of an extraction.
_AnyImage = RuleConfig | RandomConfig | PermutationConfig | LocalityConfig | ClassMeanConfig | AnotherConfig


class TableConfig(Strict):
    """The order written down for each sample by an extraction."""

    kind: Literal["table"]
    orders: Annotated[str, Ref("orders")] = Field(description="extraction to read")
    otherwise: Annotated[_AnyImage, Field(discriminator="kind")] | None = Field(
        None, description="source for images that the extraction leaves out (`count`); null: it has them all"
    )


_Plain = _AnyImage | TableConfig
PlainSource = Annotated[_Plain, Field(discriminator="kind")]


class ReversedConfig(Strict):
    """Another source's orders backwards: the last place first."""

    kind: Literal["reversed"]
    of: PlainSource = Field(description="source to reverse")


class MirroredConfig(Strict):
    """Another source's orders with left and right exchanged."""

    kind: Literal["mirrored"]
    of: PlainSource = Field(description="source to mirror")


_Fixed = _Plain | ReversedConfig | MirroredConfig
FixedSource = Annotated[_Fixed, Field(discriminator="kind")]


class AnnealConfig(Strict):
    """From one source to another: the share of `start` orders falls from 1 to `floor` (paper §4.4)."""

    kind: Literal["anneal"]
    start: FixedSource = Field(RandomConfig(), description="source at the beginning")
    to: FixedSource = Field(description="source at the end")
    start_epoch: float = Field(1.0, ge=0, description="epoch until which every order is a `start` order")
    end_epoch: float = Field(3.0, ge=0, description="epoch from which the share is `floor`")
    floor: float = Field(0.0, ge=0, le=1, description="share of `start` orders that always remains")


OrderConfig = Annotated[_Fixed | AnnealConfig, Field(discriminator="kind")]


def read_image_by_image(order: OrderConfig) -> list[TableConfig]:
    """The extractions of which a source gives each image its own order."""
    match order:
        case AnnealConfig():
            return read_image_by_image(order.start) + read_image_by_image(order.to)
        case ReversedConfig() | MirroredConfig():
            return read_image_by_image(order.of)
        case TableConfig():
            return [order]
        case _:
            return []


def drawn_anew(order: OrderConfig) -> bool:
    """Whether a source draws another order at another visit of the same image."""
    match order:
        case ReversedConfig() | MirroredConfig():
            return drawn_anew(order.of)
        case _:
            return isinstance(order, RandomConfig | AnnealConfig)


class PerStepConfig(Strict):
    """How many places are filled a step: one, or as many as finish in `steps` on RandAR's cosine."""

    kind: Literal["one", "cosine"] = "one"
    steps: int | None = Field(None, ge=1, description="forward passes in all; needed by `cosine`")


ScoreName = Literal["max_prob", "margin", "entropy", "doubt", "truth"]


def leaks(policy: Mapping[str, Any]) -> bool:
    """Whether an extraction's policy, as a recipe tells it, looks at the codes that are to be predicted.

    What images cost in such an order is no likelihood.
    """
    return policy.get("score") == "truth"


Visibility = Literal["independent", "causal", "mutual"]


class FollowConfig(Strict):
    """Go where an order source says; needs no scores."""

    select: Literal["follow"]
    order: FixedSource
    per_step: PerStepConfig = PerStepConfig()
    visibility: Visibility = Field(
        "independent",
        description="which queries of its step a query sees: none, the earlier ones (RandAR), or all",
    )

    @model_validator(mode="after")
    def _steps_agree(self) -> "FollowConfig":
        if isinstance(self.order, LocalityConfig) and self.per_step.steps != self.order.steps:
            raise ValueError(
                f"a locality order of {self.order.steps} steps needs "
                f"`per_step: {{kind: cosine, steps: {self.order.steps}}}`"
            )
        return self


# One place a step of orders that are at hand: the source is not asked.
IN_GIVEN_ORDER = FollowConfig(select="follow", order=RandomConfig())


class GreedyConfig(Strict):
    """Go where the score is highest (paper §4.3); several places a step make it top-k."""

    select: Literal["greedy"]
    score: ScoreName = "max_prob"
    per_step: PerStepConfig = PerStepConfig()


class NearConfig(Strict):
    """Greedy with a price on distance from the last place (paper Eq. 6)."""

    select: Literal["near"]
    score: ScoreName = "max_prob"
    strength: float = Field(0.5, ge=0, description="lambda of Eq. 6")
    unit: Literal["cells", "diagonal"] = Field(
        "diagonal", description="distance in cells, or as a share of the grid's diagonal"
    )


class LazyConfig(Strict):
    """Greedy that keeps scores, and asks anew only where one may have risen to the top meanwhile."""

    select: Literal["lazy"]
    score: ScoreName = "max_prob"
    per_step: PerStepConfig = PerStepConfig()
    least: int = Field(2, ge=1, description="places asked about in every step")
    share: float = Field(0.3, ge=0, le=1, description="share of the open places asked about besides")
    caution: float = Field(
        2.0, ge=0, description="how far a kept score may have moved: multiples of what is usual in this walk"
    )


class MonitorConfig(Strict):
    """Bounds on the spread of an order head's predictions: their standard deviation over the open places."""

    low: float = Field(0.01, ge=0, description="below it, the head has collapsed: it tells no place apart")
    high: float = Field(100.0, gt=0, description="above it, it has exploded")

    @model_validator(mode="after")
    def _has_room(self) -> "MonitorConfig":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self


class PredictedConfig(Strict):
    """Greedy among the places that a trained head expects to be the surest (the paper's future work)."""

    select: Literal["predicted"]
    head: Annotated[str, Ref("order_heads")] = Field(description="head that predicts, of the same model")
    score: ScoreName = "max_prob"
    candidates: int = Field(
        1,
        ge=1,
        description="places asked about, the head's best; 1, or no more than are filled: it is trusted",
    )
    every: Annotated[int, Field(ge=1)] | Literal["static"] = Field(
        1, description="steps from one prediction to the next; static: one, at the start, for all"
    )
    per_step: PerStepConfig = PerStepConfig()
    monitor: MonitorConfig = MonitorConfig()


PolicyConfig = Annotated[
    FollowConfig | GreedyConfig | NearConfig | LazyConfig | PredictedConfig, Field(discriminator="select")
]


class OrdersConfig(Strict):
    """An extraction: one order per image and view, by a walk with the truth in hand (paper §4.3)."""

    model: Annotated[str, Ref("models")]
    tokens: Annotated[str, Ref("tokens")]
    split: Split = Field("train", description="images to extract from")
    count: Count = None
    mirror: bool = Field(
        False,
        description="a view that is another's mirror image gets its order mirrored, with scores of its own",
    )
    policy: PolicyConfig = GreedyConfig(select="greedy")
    temperature: float = Field(1.0, gt=0, description="at which places are scored")
    guidance: float = Field(
        1.0, ge=0, description="scale of classifier-free guidance of the scores; 1 is none, and half the cost"
    )
    precision: Precision = Field(
        "float32",
        description="of the walk's weights and activations; scores are float32 (bfloat16 suits GPUs)",
    )
    batch: Batch = Field(
        64,
        description="images walked together, the same for all shards; auto: as the first one's memory allows",
    )
    part: int = Field(512, ge=1, description="images a part file, the unit of resuming")
