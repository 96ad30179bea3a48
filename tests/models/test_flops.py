"""The closed forms of the arithmetic, against torch's counter."""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from oarpipe.config.orders import PerStepConfig
from oarpipe.decoding.policies import Greedy, max_prob
from oarpipe.decoding.position_tokens import PositionTokensDecoder
from oarpipe.decoding.reveals import Teacher
from oarpipe.decoding.rollout import rollout
from oarpipe.models.flops import forward_attention_flops, forward_matrix_flops, walk_flops
from oarpipe.models.position_tokens import PositionTokens


def test_the_forwards_matrix_products_are_those_the_counter_sees(
    tiny_model: Callable[..., PositionTokens],
) -> None:
    model = tiny_model()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 16).long(), torch.arange(16)[None], torch.tensor([0]))
    counted = counter.get_flop_counts()["Global"]
    assert counted[torch.ops.aten.mm] == forward_matrix_flops(model)


def test_causal_attention_is_half_of_the_full_square(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model()
    full = 4 * len(model.layers) * model.width * 32 * 32
    assert forward_attention_flops(model) == full * 33 / 64


def test_a_greedy_walk_asks_for_what_the_counter_sees(tiny_model: Callable[..., PositionTokens]) -> None:
    model = tiny_model()
    tokens = torch.zeros(1, 16).long()
    policy = Greedy(max_prob, PerStepConfig(), 16)
    with FlopCounterMode(display=False) as counter:
        decoder = PositionTokensDecoder(model, torch.tensor([0]))
        rollout(decoder, policy, Teacher(tokens), model.grid, 1, torch.device("cpu"))
    assert counter.get_total_flops() == walk_flops(model, range(16, 0, -1))
