"""What this project set out to reach, beside what was measured, where machine and sizes can tell."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from oarpipe.benchmarks.costs import uncached_cost
from oarpipe.benchmarks.subjects import size_of
from oarpipe.config.benchmarks import BenchmarkConfig, SubjectConfig
from oarpipe.models.flops import walk_flops

# Images a second of RandAR's public code, by steps: width 384, 8 layers, 6 heads, 1,024 codes, 256 tokens,
# random order, batch 8, float32, on a CPU whose product of 2048-sided matrices ran at this rate.
OFFICIAL, OFFICIAL_GEMM = {256: 1.46, 88: 2.89, 32: 4.14}, 168e9
OFFICIAL_SIZES = SubjectConfig(layers=8, heads=6, width=384)
OFFICIAL_BATCH = 8
# How many times that, for a GFLOP/s of products: the goal, and the arithmetic's own limit.
TIMES = {256: (2.5, 7.9), 88: (1.6, 3.5), 32: (1.3, 1.8)}
RANDAR_XL = 15.5  # images a second at 88 steps, batch 64, on an A800 in bfloat16 (ARPG's Table 2)

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Goal:
    """`measured` is to be at least `wanted`, or at most; `limit` is what the arithmetic alone
    would give."""

    text: str
    wanted: float
    measured: float
    at_most: bool = False
    limit: float | None = None

    @property
    def held(self) -> bool:
        """Whether it was reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def facts(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "held": self.held}


def goals(config: BenchmarkConfig, sections: Found, device: str) -> list[Goal]:
    """Those that this run could measure."""
    found = [
        *_oracle(config, sections),
        *_exact(config, sections, device),
        *_generation(config, sections, device),
    ]
    return [*found, *_training(config, sections, device)]


def _oracle(config: BenchmarkConfig, sections: Found) -> Iterator[Goal]:
    if "oracle" in sections and sections["oracle"]["positions"] == 64:
        seconds = {row["name"]: row["seconds"] for row in sections["oracle"]["rows"]}
        size, asked = size_of(config.small), range(64, 0, -1)
        yield Goal(
            "extraction over the oracle that runs each candidate's prefix, 64 tokens",
            40.0,
            seconds["oracle"] / seconds["cached"],
            limit=uncached_cost(size, asked) / walk_flops(size, asked),
        )
        yield Goal(
            "extraction over the masked pass without cache",
            2.0,
            seconds["masked, without cache"] / seconds["cached"],
        )


def _exact(config: BenchmarkConfig, sections: Found, device: str) -> Iterator[Goal]:
    if "exact" not in sections:
        return
    row = sections["exact"]["rows"][0]
    if device == "cpu" and config.large.size[2] >= 768:
        yield Goal("exact extraction at B size, share of the float32 GEMM rate", 0.60, row["share"])
    if device == "cuda" and config.large.preset == "XL" and row["precision"] == "bfloat16":
        yield Goal("exact extraction at XL size, share of the bfloat16 GEMM rate", 0.55, row["share"])
        yield Goal("exact extraction at XL size, images/s", 8.0, row["per_second"])


def _generation(config: BenchmarkConfig, sections: Found, device: str) -> Iterator[Goal]:
    if "generation" not in sections:
        return
    section = sections["generation"]
    own = [row for row in section["rows"] if row["precision"] == config.precision]
    rows, steps = {(row["name"], row["count"]): row for row in own}, config.model.side**2
    one = {name: row for (name, batch), row in rows.items() if batch == 1}
    greedy, raster = one.get(f"greedy, {steps} steps"), one.get("raster")
    if greedy and raster:
        ratio = greedy["seconds"] / raster["seconds"]
        if device == "cuda":
            yield Goal("greedy over raster, both cached, batch 1: time", 1.05, ratio, at_most=True)
        else:
            arithmetic = walk_flops(size_of(config.model), range(steps, 0, -1)) / walk_flops(
                size_of(config.model), [1] * steps
            )
            yield Goal(
                f"greedy over raster, both cached, batch 1: time over arithmetic ({arithmetic:.1f})",
                1.1,
                ratio / arithmetic,
                at_most=True,
            )
    if device == "cuda":
        yield from _on_gpu(one, own, raster, steps)
    elif config.model.size == OFFICIAL_SIZES.size and config.precision == "float32":
        for asked, official in OFFICIAL.items():
            row = rows.get((f"random, {asked} steps", OFFICIAL_BATCH))
            if row:
                wanted, limit = TIMES[asked]
                rate = 1e9 * row["gemm_gflops"]
                times = (row["per_second"] / rate) / (official / OFFICIAL_GEMM)
                text = f"images/s for a GFLOP/s of products over RandAR's own code, {asked} steps, batch 8"
                yield Goal(text, wanted, times, limit=limit)


def _on_gpu(one: Found, rows: list[Found], raster: Any, steps: int) -> Iterator[Goal]:
    short, long = one.get("top-k, 32 steps"), one.get(f"random, {steps} steps")
    if short and raster:
        text = "32-step greedy over raster, batch 1: how many times as fast"
        yield Goal(text, 4.0, raster["seconds"] / short["seconds"])
    if long:
        yield Goal("given order over its floor, batch 1", 2.0, long["over_floor"], at_most=True)
    many = [row for row in rows if row["name"] == "random, 88 steps"]
    if many:
        text = "88 steps over RandAR-XL's published 15.5 images/s (A800)"
        yield Goal(text, 5.0, max(row["per_second"] for row in many) / RANDAR_XL)


def _training(config: BenchmarkConfig, sections: Found, device: str) -> Iterator[Goal]:
    if "training" not in sections:
        return
    section = sections["training"]
    rows = {(row["name"], row["precision"]): row for row in section["rows"]}
    if device == "cpu" and config.model.size == OFFICIAL_SIZES.size:
        row = rows["forward and backward", "float32"]
        done = section["matrix_flop"] / row["seconds"]
        yield Goal(
            "forward and backward, share of the float32 GEMM rate, attention not counted",
            0.75,
            done / (1e9 * row["gemm_gflops"]),
        )
    if device == "cuda" and config.model.size[2] >= 1024:
        share = rows["step", "bfloat16"]["share"]
        yield Goal("training step, share of the bfloat16 GEMM rate", 0.40, share)
