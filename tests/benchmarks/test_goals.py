"""Goals are told where the machine and the sizes can tell them, and nowhere else."""

from typing import Any

import pytest

from oarpipe.benchmarks.goals import goals
from oarpipe.benchmarks.profiles import OTHER, kind_of
from oarpipe.benchmarks.run import peers
from oarpipe.config.benchmarks import BenchmarkConfig, SubjectConfig

CONFIG = BenchmarkConfig()


def row(name: str, count: int, seconds: float, precision: str = "float32", **more: Any) -> dict[str, Any]:
    per_second = count / seconds
    return {
        "name": name,
        "count": count,
        "seconds": seconds,
        "precision": precision,
        "per_second": per_second,
        "gemm_gflops": 84.0,
        **more,
    }


def section(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"rows": list(rows), **more}


def measured(sections: dict[str, Any], config: BenchmarkConfig = CONFIG, device: str = "cpu") -> list[Any]:
    return [(round(goal.measured, 3), goal.held) for goal in goals(config, sections, device)]


def test_speed_against_randars_own_code_is_for_a_gflop_a_second() -> None:
    rows = [row("random, 256 steps", 8, 8 / 1.46), row("random, 88 steps", 8, 8 / 2.89)]
    assert measured({"generation": section(*rows)}) == [(2.0, False), (2.0, True)]  # at half its GEMM rate


def test_greedy_over_raster_is_held_against_the_arithmetic() -> None:
    found = goals(
        CONFIG, {"generation": section(row("greedy, 256 steps", 1, 10.0), row("raster", 1, 1.0))}, "cpu"
    )
    (goal,) = found
    assert goal.at_most
    assert goal.held
    assert "arithmetic (5" in goal.text or "arithmetic (6" in goal.text


def test_training_counts_the_products_of_weights_alone() -> None:
    timed = section(row("forward and backward", 8, 2.0), matrix_flop=2 * 84e9 * 0.8)
    assert measured({"training": timed}) == [(0.8, True)]


def test_the_oracles_goal_is_one_of_64_tokens() -> None:
    rows = [row("cached", 16, 1.0), row("masked, without cache", 16, 2.5), row("oracle", 16, 39.0)]
    assert measured({"oracle": section(*rows, positions=64)}) == [(39.0, False), (2.5, True)]
    assert measured({"oracle": section(*rows, positions=36)}) == []


def test_a_larger_codebook_costs_the_cached_walk_more_than_its_oracle() -> None:
    """Of its rows the oracle makes logits of half, the walk of nearly all."""
    rows = [row("cached", 16, 1.0), row("masked, without cache", 16, 2.5), row("oracle", 16, 39.0)]
    limits = []
    for codebook in (128, 1024):
        small = CONFIG.small.model_copy(update={"codebook": codebook})
        config = CONFIG.model_copy(update={"small": small})
        limits.append(goals(config, {"oracle": section(*rows, positions=64)}, "cpu")[0].limit)
    assert 38 < limits[1] < limits[0] < 40


def test_other_sizes_have_no_goals() -> None:
    small = SubjectConfig(layers=1, heads=1, width=8, side=4)
    config = BenchmarkConfig(model=small, large=small)
    rows = [row("random, 88 steps", 8, 1.0)]
    timed = section(row("forward and backward", 8, 2.0), matrix_flop=1)
    assert (
        measured(
            {
                "generation": section(*rows),
                "training": timed,
                "exact": section(row("exact", 2, 1.0, share=0.5)),
            },
            config,
        )
        == []
    )


def test_a_gpu_has_goals_of_its_own() -> None:
    large = SubjectConfig(preset="XL", codebook=16384)
    config = BenchmarkConfig(device="cuda", precision="bfloat16", model=large, large=large, batches=[1, 64])
    b = "bfloat16"
    rows = [
        row("greedy, 256 steps", 1, 1.04, b),
        row("raster", 1, 1.0, b),
        row("top-k, 32 steps", 1, 0.2, b),
        row("random, 256 steps", 1, 1.0, b, over_floor=2.5),
        row("random, 88 steps", 64, 1.0, b),
    ]
    exact = section(row("exact", 64, 10.0, b, share=0.6))
    found = measured({"generation": section(*rows), "exact": exact}, config, "cuda")
    assert found == [(0.6, True), (6.4, False), (1.04, True), (5.0, True), (2.5, False), (4.129, False)]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::addmm_", "matrix products"),
        ("aten::bmm", "attention"),
        ("aten::_softmax", "attention"),
        ("aten::_log_softmax", "losses and scores"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("aten::linalg_vector_norm", "norms"),
        ("aten::__rshift__", "random bits"),
        ("aten::copy_", "moving"),
        ("aten::t", "views"),
        ("aten::silu", "element by element"),
        ("aten::lt", "element by element"),
        ("aten::_fused_adamw_", "optimiser"),
        ("void nothing_known()", OTHER),
    ],
)
def test_operations_have_their_kind(operation: str, kind: str) -> None:
    assert kind_of(operation) == kind


def test_every_published_figure_names_its_hardware_and_source() -> None:
    rows = peers()
    assert len(rows) > 20
    for peer in rows:
        assert None not in peer
        assert float(peer["figure"]) > 0
        assert all(peer[key] for key in ("system", "unit", "hardware", "source"))
