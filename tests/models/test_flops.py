"""The closed forms of the arithmetic, against torch's counter and against published sizes."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oarpipe.base.grid import Grid
from oarpipe.base.schedules import places_per_step
from oarpipe.config.models import PRESETS
from oarpipe.config.orders import FollowConfig, GreedyConfig, OrdersConfig, PerStepConfig, RuleConfig
from oarpipe.config.samples import GuidanceConfig, SamplesConfig
from oarpipe.decoding.flops import extraction_cost, walk_cost
from oarpipe.decoding.walks import extract_orders, sample_tokens
from oarpipe.models.flops import (
    ModelSize,
    ffn_width,
    forward_attention_flops,
    forward_matrix_flops,
    training_flops,
    walk_flops,
)
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.token_model import TokenModel
from oarpipe.orders.rules import rule_order
from oarpipe.training.objective import nll
from tests.conftest import published_weights

LABEL = torch.tensor([0])
Make = Callable[..., PositionTokens]


def next_token() -> NextToken:
    model = NextToken(grid=Grid(4, 4), codebook=11, classes=5, layers=2, heads=2, width=32)
    model.load_state_dict(published_weights(model))
    return model.eval()


def in_place(x: Sequence[int], a: Sequence[int], b: Sequence[int], **_: object) -> int:
    """Of a product added to x, which torch's counter leaves out."""
    return 2 * a[0] * a[1] * b[1]


def counted(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place}) as counter:
        work()
    return counter.get_total_flops()


def published(name: str, codebook: int = 16384) -> ModelSize:
    layers, heads, width = PRESETS[name]
    return ModelSize(layers, heads, width, ffn_width(width), codebook, 256)


def samples(**options: object) -> SamplesConfig:
    return SamplesConfig.model_validate({"model": "m", "policy": {"select": "greedy"}, **options})


def sample(model: TokenModel, config: SamplesConfig) -> Callable[[], object]:
    order = rule_order("raster", model.grid, 0)[None]
    return lambda: sample_tokens(model, LABEL, config, samples=LABEL, seed=0, order=order)


@pytest.mark.parametrize("kind", ["position_tokens", "next_token"])
def test_the_forwards_matrix_products_are_those_the_counter_sees(tiny_model: Make, kind: str) -> None:
    model: TokenModel = tiny_model() if kind == "position_tokens" else next_token()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 16).long(), torch.arange(16)[None], LABEL)
    seen = counter.get_flop_counts()["Global"]
    assert seen[torch.ops.aten.mm] == forward_matrix_flops(ModelSize.of(model))


def test_causal_attention_is_half_of_the_full_square(tiny_model: Make) -> None:
    model = tiny_model()
    full = 4 * len(model.layers) * model.width * 32 * 32
    assert forward_attention_flops(ModelSize.of(model)) == full * 33 / 64


@pytest.mark.parametrize("kind", [PositionTokens, NextToken])
def test_a_training_step_is_within_three_percent_of_the_counter(kind: type[TokenModel]) -> None:
    model = kind(grid=Grid(3, 3), codebook=97, classes=5, layers=3, heads=4, width=128)
    model.initialise(0)
    order = torch.arange(9)[None]
    seen = counted(lambda: nll(model, torch.zeros(1, 9).long(), order, LABEL).mean().backward())
    assert training_flops(ModelSize.of(model)) == pytest.approx(seen, rel=0.03)


@pytest.mark.parametrize("steps", [None, 5])
def test_an_extraction_asks_for_what_the_counter_sees(tiny_model: Make, steps: int | None) -> None:
    model = tiny_model()
    per_step = PerStepConfig(kind="cosine", steps=steps) if steps else PerStepConfig()
    policy = GreedyConfig(select="greedy", per_step=per_step)
    filled = places_per_step(per_step, 16)
    asked = [16 - sum(filled[:t]) for t in range(len(filled))]
    seen = counted(lambda: extract_orders(model, torch.zeros(1, 16).long(), LABEL, policy))
    assert walk_flops(ModelSize.of(model), asked, filled) == seen


@pytest.mark.parametrize("steps", [None, 5])
def test_a_generation_in_a_given_order_asks_for_what_the_counter_sees(
    tiny_model: Make, steps: int | None
) -> None:
    model = tiny_model()
    per_step = PerStepConfig(kind="cosine", steps=steps) if steps else PerStepConfig()
    raster = RuleConfig(kind="rule", name="raster")
    config = samples(policy=FollowConfig(select="follow", order=raster, per_step=per_step))
    filled = places_per_step(per_step, 16)
    assert walk_flops(ModelSize.of(model), filled, filled) == counted(sample(model, config))


@pytest.mark.parametrize("places", ["conditional", "guided"])
def test_guidance_adds_a_walk_that_is_asked_about_the_chosen_places_or_all(
    tiny_model: Make, places: str
) -> None:
    model = tiny_model()
    size, asked = ModelSize.of(model), range(16, 0, -1)
    config = samples(guidance=GuidanceConfig.model_validate({"scale": 2.0, "places": places}))
    second = walk_flops(size, asked if places == "guided" else [1] * 16)
    if places == "guided":  # both branches look up the first block's projections in one table
        second -= 2 * 16 * size.projection
    assert walk_flops(size, asked) + second == counted(sample(model, config))
    assert walk_cost(size, config.policy, config.guidance) == counted(sample(model, config))


def test_a_guided_extraction_costs_what_the_counter_sees(tiny_model: Make) -> None:
    model = tiny_model()
    tokens, labels = torch.zeros(1, 16, dtype=torch.int64), torch.zeros(1, dtype=torch.int64)
    entry = OrdersConfig(model="m", tokens="t", guidance=2.0)
    seen = counted(lambda: extract_orders(model, tokens, labels, guidance=2.0))
    assert extraction_cost(ModelSize.of(model), entry, views=1) == seen


def test_a_next_token_walk_asks_for_what_the_counter_sees() -> None:
    model = next_token()
    config = samples(policy={"select": "follow", "order": {"kind": "rule", "name": "raster"}})
    assert walk_flops(ModelSize.of(model), [1] * 16) == counted(sample(model, config))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("B", 110_889_216), ("L", 342_912_000), ("XL", 774_700_800), ("XXL", 1_410_974_208)],
)
def test_parameters_are_the_published_numbers(name: str, parameters: int) -> None:
    assert published(name).parameters(classes=1000) == parameters


@pytest.mark.parametrize("kind", [PositionTokens, NextToken])
def test_parameters_are_those_of_the_model(kind: type[TokenModel]) -> None:
    model = kind(grid=Grid(3, 3), codebook=97, classes=5, layers=3, heads=4, width=96)
    size = ModelSize.of(model)
    assert size.hidden == ffn_width(96)
    assert size.parameters(classes=5) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "training", "extraction", "ordinary", "cosine88", "cosine32"),
    [
        ("B", 0.295, 6.7, 0.10, 2.9, 1.15),
        ("L", 1.01, 22.3, 0.34, 9.8, 3.8),
        ("XL", 2.36, 51.3, 0.78, 22.6, 8.9),
        ("XXL", 4.34, 94.2, 1.44, 41.6, 16.3),
    ],
)
def test_imagenets_costs_are_those_computed_by_others_in_tflop_an_image(
    name: str, training: float, extraction: float, ordinary: float, cosine88: float, cosine32: float
) -> None:
    size = published(name)

    def greedy(steps: int) -> float:
        filled = places_per_step(PerStepConfig(kind="cosine", steps=steps), 256)
        return walk_flops(size, [256 - sum(filled[:t]) for t in range(len(filled))], filled) / 1e12

    assert training_flops(size) / 1e12 == pytest.approx(training, rel=0.05)
    assert walk_flops(size, range(256, 0, -1)) / 1e12 == pytest.approx(extraction, rel=0.05)
    assert walk_flops(size, [1] * 256) / 1e12 == pytest.approx(ordinary, rel=0.06)  # printed with two digits
    assert greedy(88) == pytest.approx(cosine88, rel=0.05)
    assert greedy(32) == pytest.approx(cosine32, rel=0.05)
