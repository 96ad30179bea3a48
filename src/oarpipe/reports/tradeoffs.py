"""Quality against cost: sample sets of one model that differ only in how their places were found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from markupsafe import Markup

from oarpipe.base.files import read_json
from oarpipe.base.receipts import Receipt
from oarpipe.config.orders import FollowConfig, GreedyConfig, PerStepConfig, RuleConfig
from oarpipe.config.samples import SamplesConfig
from oarpipe.decoding.flops import walk_cost
from oarpipe.models.flops import ModelSize, ffn_width
from oarpipe.reports.arms import COLOURS, GREEDY, OTHER_COLOURS, RANDOM, policy_name
from oarpipe.reports.claims import PLAIN
from oarpipe.reports.figures import Point, scatter
from oarpipe.reports.intervals import Difference, Interval, difference, spread
from oarpipe.reports.results import Results

RASTER = FollowConfig(select="follow", order=RuleConfig(kind="rule", name="raster"))


@dataclass(frozen=True)
class Way:
    """One way to find places. `flop` and `seconds` are shares of raster's; `distrusted` is the share of
    predicted places that the monitor left to exact greedy. None is unknown, or does not arise.
    """

    name: str
    policy: str
    flop: float
    seconds: float | None
    distance: float
    interval: Interval | None
    accuracy: float | None
    gap: Difference | None
    distrusted: float | None

    @property
    def is_told_apart(self) -> bool | None:
        """Whether its distance differs from exact greedy's; None where that cannot be said."""
        if self.gap is None or self.gap.interval is None:
            return None
        return self.gap.interval.excludes_zero()


@dataclass(frozen=True)
class Tradeoff:
    """All ways of one model, the cheapest first."""

    model: str
    exact: str
    ways: Sequence[Way]
    chart: Markup
    heads: Mapping[str, Mapping[str, float]]  # the order heads behind them, and their held-out agreement


def tradeoffs(results: Results) -> list[Tradeoff]:
    """Models that were sampled greedily both exactly and more cheaply, all else being equal."""
    groups: dict[str, list[str]] = {}
    for name, recipe in results.recipes("samples").items():
        if results.measured(name, PLAIN):
            groups.setdefault(str({**recipe, "policy": None}), []).append(name)
    found = []
    for names in groups.values():
        policies = {name: _config(results, name).policy for name in names}
        exact = next((name for name, policy in policies.items() if _is_exact(policy)), None)
        if exact is not None and any(map(_is_cheaper, policies.values())):
            found.append(_tradeoff(results, exact, names))
    return found


def _is_exact(policy: Any) -> bool:
    """Every open place is asked about before each is filled."""
    return isinstance(policy, GreedyConfig) and policy.per_step == PerStepConfig()


def _is_cheaper(policy: Any) -> bool:
    """It goes where scores are high, and asks less."""
    return policy.select in ("greedy", "lazy", "predicted") and not _is_exact(policy)


def _tradeoff(results: Results, exact: str, names: Sequence[str]) -> Tradeoff:
    raster = next((name for name in names if _config(results, name).policy == RASTER), None)
    ways = sorted((_way(results, name, exact, raster) for name in names), key=lambda way: way.flop)
    points = [
        Point(
            way.policy,
            way.flop,
            way.distance,
            way.interval.low if way.interval else way.distance,
            way.interval.high if way.interval else way.distance,
            _colour(results, way.name),
        )
        for way in ways
    ]
    model = results.recipes("samples")[exact]["model"]
    chart = scatter(
        points,
        x="arithmetic, as a multiple of raster order's",
        y=f"{results.distance}, lower is better",
        alt=f"{results.distance} of the samples of {model} against their arithmetic; the numbers are below.",
    )
    return Tradeoff(model, exact, ways, chart, _heads(results, names))


def _heads(results: Results, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """The heads of the first seed that predict for these sample sets."""
    wanted = [getattr(_config(results, name).policy, "head", None) for name in names]
    found = {name: results.receipt("order_heads", name, results.seed) for name in wanted if name is not None}
    return {name: read_json(one.folder / "agreement.json") for name, one in found.items() if one is not None}


def _way(results: Results, name: str, exact: str, raster: str | None) -> Way:
    series = results.series(name, PLAIN, results.distance)
    mean, _, interval = spread(series)
    measured = list(results.measured(name, PLAIN).values())
    known = [one["metrics"]["accuracy"] for one in measured if "accuracy" in one["metrics"]]
    gap = None if name == exact else difference(series, results.series(exact, PLAIN, results.distance))
    runs = [_run(results, name, seed) for seed in results.seeds]
    counts = [run["counts"] for run in runs if "counts" in run]
    predicted = sum(count["predicted_places"] for count in counts)
    return Way(
        name,
        policy_name(results.recipes("samples")[name]["policy"], results.recipes("orders")),
        _flop(results, name) / _flop(results, name, in_raster=True),
        _seconds(results, name, raster),
        mean,
        interval,
        sum(known) / len(known) if known else None,
        gap,
        sum(count["exact_steps"] for count in counts) / predicted if predicted else None,
    )


def _config(results: Results, name: str) -> SamplesConfig:
    return SamplesConfig.model_validate(results.recipes("samples")[name])


def _flop(results: Results, name: str, *, in_raster: bool = False) -> int:
    """Of one sample's walk."""
    config = _config(results, name)
    model = results.receipt("models", config.model, results.seed)
    assert model is not None, config.model
    policy = RASTER if in_raster else config.policy
    width = results.recipes("order_heads")[policy.head]["width"] if policy.select == "predicted" else 0
    return walk_cost(_size(model), policy, config.guidance, head=width)


def _size(model: Receipt) -> ModelSize:
    anatomy = yaml.safe_load((model.folder / "model.yaml").read_text())
    height, width = anatomy["grid"]
    return ModelSize(
        layers=anatomy["layers"],
        heads=anatomy["heads"],
        width=anatomy["width"],
        hidden=ffn_width(anatomy["width"]),
        codebook=anatomy["codebook"],
        positions=height * width,
    )


def _run(results: Results, name: str, seed: int) -> Mapping[str, Any]:
    """What a generation told of itself; empty where that is not known."""
    receipt = results.receipt("samples", name, seed)
    file = None if receipt is None else receipt.folder / "run.json"
    return {} if file is None or not file.is_file() else dict(read_json(file))


def _seconds(results: Results, name: str, raster: str | None) -> float | None:
    """Of the first seed's stage, as a share of raster's; None unless a like machine made both."""
    ours = _run(results, name, results.seed)
    theirs = {} if raster is None else _run(results, raster, results.seed)
    machine = ("host", "machine", "threads")
    if not ours or not theirs or any(ours[key] != theirs[key] for key in machine):
        return None
    return float(ours["seconds"]) / float(theirs["seconds"])


def _colour(results: Results, name: str) -> str:
    """The colour of the order, or of the manner in which greedy is made cheaper."""
    policy = _config(results, name).policy
    if isinstance(policy, FollowConfig):
        return COLOURS.get(policy.order.kind if policy.order.kind == RANDOM else "raster", OTHER_COLOURS[0])
    manners = {"lazy": OTHER_COLOURS[1], "predicted": OTHER_COLOURS[2], "near": OTHER_COLOURS[3]}
    return manners.get(policy.select, COLOURS[GREEDY])
