"""What is measured, and what is shown."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from oarpipe.config.base import Ref, Strict
from oarpipe.config.datasets import Count, Split
from oarpipe.config.orders import FixedSource

Everything = Literal["all"]
Convention = Literal["fidelity", "adm"]


class EvaluationConfig(Strict):
    """Distances between sample sets and a reference split, with paired bootstrap intervals."""

    samples: Annotated[list[str] | Everything, Ref("samples")] = "all"
    searches: Annotated[list[str] | Everything, Ref("searches")] = Field(
        "all", description="searches whose best settings are measured beside the plain ones"
    )
    dataset: Annotated[str | None, Ref("datasets")] = Field(
        None, description="reference images; null: those of `reference`"
    )
    split: Split = "train"
    reference: str | None = Field(
        None,
        description="in place of `dataset`, a file: ADM's .npz (statistics, images), or one of "
        "`oarpipe make-reference`",
    )
    conventions: list[Convention] = Field(
        ["fidelity", "adm"],
        min_length=1,
        description="how metrics are computed: as torch-fidelity does, as ADM's evaluator does; reports show "
        "the first",
    )
    statistics: str | None = Field(
        None,
        description="published .npz (ADM's VIRTUAL_imagenet256_labeled.npz) whose mean `mu` and covariance "
        "`sigma` of these features the Fréchet distance is taken to; null: the images' own",
    )
    features: Annotated[str, Ref("features")]
    kernel_subsets: int = Field(50, ge=1, description="subsets of the kernel distance")
    kernel_subset_size: int = Field(500, ge=2)
    floor: int = Field(
        50_000,
        ge=0,
        description="images of the other split, at most, whose distance is the floor; 0: no floor",
    )
    neighbourhood: int = Field(3, ge=1, description="k of precision and recall (ADM's is 3)")
    bootstrap: int = Field(300, ge=0, description="resamplings behind the intervals")

    @model_validator(mode="after")
    def _has_one_reference(self) -> "EvaluationConfig":
        if (self.dataset is None) == (self.reference is None):
            raise ValueError("expected a reference: either `dataset` or `reference`")
        if self.reference is not None and self.statistics is not None:
            raise ValueError("statistics: `reference` has its own; leave one of them out")
        if len(set(self.conventions)) < len(self.conventions):
            raise ValueError("conventions: one is named twice")
        return self


class HoleConfig(Strict):
    """Places to be filled given all others: a rectangle in the middle (inpaint), or all around one."""

    kind: Literal["inpaint", "outpaint"]
    share: float = Field(gt=0, lt=1, description="of the grid, as near as whole rows and columns allow")


class ClassificationConfig(Strict):
    """Which class an image is of by likelihood: that under which its codes are likeliest, in K random orders.

    The orders are those of `random`, the same for every class and model.
    """

    count: Count = None
    orders: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 20], min_length=1, description="each K: log-likelihoods are averaged over the first K orders"
    )
    shortlist: int | None = Field(
        None,
        ge=2,
        description="after the first order only so many classes, the likeliest by it, are asked about; "
        "null: all",
    )


class InformationConfig(Strict):
    """What models make of held-out images: NLL in given orders (paper Eqs. 3-5) and of holes, and classes."""

    models: Annotated[list[str] | Everything, Ref("models")] = "all"
    tokens: Annotated[str, Ref("tokens")]
    split: Split = "test"
    count: Count = None
    orders: dict[str, FixedSource] = Field(min_length=1, description="orders to walk in, by name")
    holes: dict[str, HoleConfig] = Field(
        {}, description="holes to fill, by name; their NLL is that of the hidden codes, seen ones given"
    )
    draws: int = Field(
        1,
        ge=1,
        description="random orders an image, wherever `orders` draws them anew (none is seen by a training); "
        "NLL is their mean, and from two on the spread between them is told",
    )
    classification: ClassificationConfig | None = Field(
        None, description="classify by likelihood; null: not asked"
    )
    batch: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _names_differ(self) -> "InformationConfig":
        both = sorted(self.orders.keys() & self.holes.keys())
        if both:
            raise ValueError(f"'{both[0]}' names an order and a hole; rename one of them")
        return self


class PublishedConfig(Strict):
    """A published number, to be reached here before anything that was tuned is believed."""

    samples: str = Field(
        description="the untuned model's sample set: NAME, or SEARCH/NAME for its best setting"
    )
    metric: str = Field("fid", description="metric, as the evaluation calls it")
    value: float = Field(description="the number as published")
    tolerance: float = Field(ge=0, description="difference up to which it counts as reached")
    source: str = Field(description="where it was published")


class ReportConfig(Strict):
    """One self-contained page about a book."""

    title: str
    evaluation: Annotated[str, Ref("evaluations")]
    information: Annotated[str | None, Ref("information")] = None
    benchmark: Annotated[str | None, Ref("benchmarks")] = Field(
        None, description="how fast the machine is, shown in a section of its own"
    )
    published: PublishedConfig | None = Field(
        None, description="a number that the report's first sentence compares with"
    )
    images: int = Field(80, ge=1, description="images shown a sample set")
    playbacks: int = Field(10, ge=0, description="generations shown filling in, a sample set")
    left_out: list[str] = Field([], description="sentences on what this run leaves out")
