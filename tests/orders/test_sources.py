"""Order sources: pure, valid, and annealed as the paper says."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.config.orders import (
    AnnealConfig,
    AnotherConfig,
    ClassMeanConfig,
    LocalityConfig,
    MirroredConfig,
    PermutationConfig,
    RandomConfig,
    ReversedConfig,
    RuleConfig,
    TableConfig,
)
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.orders.algebra import is_order
from oarpipe.orders.sources import OrderSource, Visits, build_source

GRID = Grid(3, 3)
KINDS = [
    *("random", "rule", "table", "class_mean", "another", "permutation", "locality"),
    *("reversed", "mirrored", "anneal"),
]


@dataclass
class Written:
    """An order table in memory: samples 10..13 with one view, classes 0 and 1."""

    sample_id = np.array([10, 11, 12, 13])
    view = np.zeros(4, np.uint8)
    label = np.array([0, 0, 1, 1], np.int32)
    order = np.stack([np.random.default_rng(i).permutation(9) for i in range(4)]).astype(np.uint16)


def visits(samples: list[int], *, first: int = 0, epoch: float = 0.0) -> Visits:
    ids = torch.tensor(samples)
    return Visits(ids, torch.zeros_like(ids), (ids - 10) // 2, torch.arange(first, first + len(ids)), epoch)


def sources() -> dict[str, OrderSource]:
    tables = {"greedy": Written()}
    anneal = AnnealConfig(kind="anneal", to=TableConfig(kind="table", orders="greedy"), end_epoch=2.0)
    configs = [
        RandomConfig(),
        RuleConfig(kind="rule", name="spiral"),
        TableConfig(kind="table", orders="greedy"),
        ClassMeanConfig(kind="class_mean", orders="greedy"),
        AnotherConfig(kind="another", orders="greedy"),
        PermutationConfig(kind="permutation"),
        LocalityConfig(kind="locality", steps=4),
        ReversedConfig(kind="reversed", of=TableConfig(kind="table", orders="greedy")),
        MirroredConfig(kind="mirrored", of=TableConfig(kind="table", orders="greedy")),
        anneal,
    ]
    return {config.kind: build_source(config, GRID, 5, tables) for config in configs}


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_gives_valid_orders_and_is_a_pure_function_of_the_visit(kind: str) -> None:
    source = sources()[kind]
    asked = visits([10, 12, 11, 13, 10], first=70, epoch=1.5)
    together = source(asked)
    assert bool(is_order(together).all())
    assert torch.equal(source(asked), together)
    alone = Visits(asked.samples[2:3], asked.views[2:3], asked.labels[2:3], asked.counters[2:3], asked.epoch)
    assert torch.equal(source(alone)[0], together[2])


def test_a_table_gives_each_sample_its_own_order() -> None:
    order = sources()["table"](visits([13, 10]))
    assert order.tolist() == Written.order[[3, 0]].tolist()


def test_a_sample_without_an_order_is_an_error_that_names_it() -> None:
    with pytest.raises(IncompleteData, match=r"orders\.greedy: no order for sample 99"):
        sources()["table"](visits([10, 99]))


def test_a_sample_without_an_order_gets_one_of_the_source_that_is_given_for_it() -> None:
    """Of each sample, the row that either source alone gives."""
    config = {"kind": "table", "orders": "greedy", "otherwise": {"kind": "permutation"}}
    source = build_source(TableConfig.model_validate(config), GRID, 5, {"greedy": Written()})
    asked = visits([9, 13, 99, 10, 14], first=7, epoch=1.5)
    drawn = build_source(PermutationConfig(kind="permutation"), GRID, 5)(asked)
    assert source(asked).tolist() == [
        drawn[0].tolist(),
        Written.order[3].tolist(),
        drawn[2].tolist(),
        Written.order[0].tolist(),
        drawn[4].tolist(),
    ]


def test_an_image_that_is_left_out_has_a_new_random_order_at_every_visit() -> None:
    config = {"kind": "table", "orders": "greedy", "otherwise": {"kind": "random"}}
    source = build_source(TableConfig.model_validate(config), GRID, 5, {"greedy": Written()})
    first, second = source(visits([10, 99])), source(visits([10, 99], first=50))
    same = (first == second).all(dim=1)
    assert same.tolist() == [True, False]


def test_a_class_without_an_extracted_order_has_no_mean_order() -> None:
    with pytest.raises(BadInput, match="no extracted order of class 3"):
        sources()["class_mean"](visits([16]))


def test_another_images_order_is_of_its_class_never_its_own_and_always_the_same() -> None:
    written = Written()
    written.sample_id = np.arange(40)
    written.view = np.zeros(40, np.uint8)
    written.label = np.arange(40, dtype=np.int32) // 10
    written.order = np.stack([np.random.default_rng(i).permutation(9) for i in range(40)])
    source = build_source(AnotherConfig(kind="another", orders="greedy"), GRID, 5, {"greedy": written})
    ids = torch.arange(40)
    asked = Visits(ids, torch.zeros_like(ids), ids // 10, ids)
    donors = [[d for d in range(40) if (written.order[d] == order).all()] for order in source(asked).tolist()]
    assert all(len(found) == 1 for found in donors)
    whose = np.array([found[0] for found in donors])
    assert (whose // 10 == np.arange(40) // 10).all()
    assert (whose != np.arange(40)).all()
    assert len(set(whose.tolist())) > 20  # drawn anew for each sample: 40 (1 - (8/9)^9) = 26 are expected
    assert torch.equal(source(replace(asked, counters=ids + 1000, epoch=3.0)), source(asked))


def test_another_image_is_missing_where_a_class_has_one_image() -> None:
    written = Written()
    written.label = np.array([0, 1, 1, 1], np.int32)
    source = build_source(AnotherConfig(kind="another", orders="greedy"), GRID, 5, {"greedy": written})
    alone = Visits(torch.tensor([10]), torch.tensor([0]), torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(BadInput, match=r"orders\.greedy: no other image of class 0"):
        source(alone)


@pytest.mark.parametrize(("per", "same_for"), [("sample", [0, 2]), ("class", [0, 1, 2])])
def test_a_permutation_stays_with_its_sample_or_its_class(per: str, same_for: list[int]) -> None:
    source = build_source(PermutationConfig.model_validate({"kind": "permutation", "per": per}), GRID, 5)
    order = source(visits([10, 11, 10, 12], first=33))
    same = [row for row in range(4) if torch.equal(order[row], order[0])]
    assert same == same_for


def test_a_reversed_order_ends_where_the_order_begins() -> None:
    made = sources()
    assert torch.equal(made["reversed"](visits([11])).flip(1), made["table"](visits([11])))


def test_a_mirrored_order_goes_to_the_right_where_the_order_goes_to_the_left() -> None:
    made = sources()
    columns = made["mirrored"](visits([11])) % 3 + made["table"](visits([11])) % 3
    assert (columns == 2).all()


def test_random_orders_differ_between_visits_of_one_sample() -> None:
    order = sources()["random"](visits([10, 10]))
    assert not torch.equal(order[0], order[1])


@pytest.mark.parametrize(
    ("epoch", "floor", "share"),
    [(0.0, 0.0, 1.0), (0.99, 0.0, 1.0), (1.5, 0.0, 0.75), (2.0, 0.0, 0.5), (3.0, 0.0, 0.0), (9.0, 0.3, 0.3)],
)
def test_the_share_of_random_orders_falls_linearly_between_the_two_epochs(
    epoch: float, floor: float, share: float
) -> None:
    rule = RuleConfig(kind="rule", name="raster")
    config = AnnealConfig(kind="anneal", to=rule, start_epoch=1.0, end_epoch=3.0, floor=floor)
    order = build_source(config, GRID, 0)(visits([10] * 4000, epoch=epoch))
    found = float((order != torch.arange(9)).any(dim=1).double().mean())
    assert abs(found - share) < 0.03  # four standard deviations of 4,000 draws


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_orders_come_where_they_are_wanted_and_are_the_same_there(kind: str) -> None:
    source, asked = sources()[kind], visits([10, 12, 11], first=3, epoch=1.5)
    there = source(replace(asked, device=torch.device("cuda")))
    assert there.is_cuda
    assert torch.equal(there.cpu(), source(asked))


@pytest.mark.parametrize("kind", ["random", "rule", "anneal"])
def test_orders_are_sent_where_they_are_wanted(kind: str) -> None:
    asked = replace(visits([10, 12, 11]), device=torch.device("meta"))
    assert asked.wanted_on.type == "meta"
    assert visits([10]).wanted_on.type == "cpu"
    assert sources()[kind](asked).is_meta
