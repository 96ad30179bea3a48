"""Extraction finds a best order that is known beforehand, and the measures notice it (see keyed.py)."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch

from oarpipe.config.models import ModelConfig
from oarpipe.config.orders import GreedyConfig, ScoreName
from oarpipe.config.samples import SamplesConfig
from oarpipe.data.batches import TokenBatches
from oarpipe.data.sources.keyed import CHANCES, GRID, KEYS, PLACES, WRONG
from oarpipe.decoding.walks import extract_orders, sample_tokens
from oarpipe.metrics.agreement import class_tau, within_and_between
from oarpipe.metrics.information import v_information
from oarpipe.metrics.order_maps import step_entropies, visits
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.sources import build_source
from oarpipe.training.loop import Run, fit
from oarpipe.training.objective import nll
from tests.keyed import Exact, all_images, key_first, keyed, log_probs

SIZES = {"layers": 2, "heads": 2, "width": 32}
NO_DROPOUT = {"token_dropout": 0.0, "residual_dropout": 0.0, "ffn_dropout": 0.0}


@dataclass(frozen=True)
class Known:
    """A model trained on keyed images, and 510 images that it has not seen."""

    model: PositionTokens
    codes: torch.Tensor
    labels: torch.Tensor

    def log_probs(self, order: np.ndarray) -> np.ndarray:
        """Of every code, in the order's steps."""
        with torch.inference_mode():
            return -nll(self.model, self.codes, torch.from_numpy(order), self.labels).numpy()

    def greedy(self, score: ScoreName = "max_prob") -> np.ndarray:
        """The extracted orders."""
        walk = extract_orders(self.model, self.codes, self.labels, GreedyConfig(select="greedy", score=score))
        return walk.order.numpy()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder, held_out = tmp_path_factory.mktemp("keyed"), keyed(510, first=6000)
    schedule = {"kind": "cosine", "warmup": 0.1}
    train = {"steps": 1200, "batch": 32, "lr": 1e-2, "log_every": 400, "schedule": schedule}
    config = ModelConfig.model_validate({"tokens": "keyed", "train": train, "class_dropout": 0, **SIZES})
    model = PositionTokens(grid=GRID, codebook=2 * KEYS, classes=len(PLACES), **SIZES, **NO_DROPOUT)
    model.initialise(0)
    trained = fit(
        Run(
            name="models/keyed",
            model=model,
            batches=TokenBatches(keyed(6000), batch=32, seed=0),
            source=build_source(config.order, GRID, 0),
            config=config,
            seed=0,
            metrics=folder / "metrics.jsonl",
            checkpoints=folder / "state",
        )
    )
    codes, labels = torch.from_numpy(held_out.tokens[:, 0]).long(), torch.from_numpy(held_out.labels).long()
    return Known(trained, codes, labels)


def test_the_key_is_truly_the_most_certain_place_and_makes_all_others_more_certain() -> None:
    exact = Exact(label=0)
    others = [place for place in range(GRID.positions) if place != PLACES[0]]
    assert exact.likeliest({}, int(PLACES[0])) == pytest.approx(0.7)
    assert exact.likeliest({}, others[0]) == pytest.approx(0.7 * (1 - WRONG) + 0.1 * WRONG)  # 0.58
    for filled in range(8):  # whatever else is known besides the key
        seen = {int(PLACES[0]): 2} | {place: KEYS + place % KEYS for place in others[:filled]}
        assert exact.likeliest(seen, others[-1]) == pytest.approx(1 - WRONG)
    # The marks alone are less sure: a walk that puts the key off has less to go by.
    assert exact.likeliest({others[0]: KEYS + 2}, others[1]) < 1 - WRONG


def test_the_chances_of_all_images_sum_to_one() -> None:
    every = all_images()
    assert np.exp(log_probs(every, np.zeros(len(every), np.int64))).sum() == pytest.approx(1)


@pytest.mark.parametrize("score", ["max_prob", "margin", "entropy"])
def test_extraction_begins_at_the_key_of_every_image(known: Known, score: ScoreName) -> None:
    assert (known.greedy(score)[:, 0] == PLACES[known.labels.numpy()]).all()


def test_the_scores_are_the_true_chances(known: Known) -> None:
    walk = extract_orders(known.model, known.codes, known.labels)
    assert float(walk.score[:, 0].mean()) == pytest.approx(CHANCES.max(), abs=0.06)
    np.testing.assert_allclose(walk.score[:, 1:].mean(dim=0), 1 - WRONG, atol=0.03)


def test_maps_and_entropies_notice_the_key(known: Known) -> None:
    orders, labels = known.greedy(), known.labels.numpy()
    for label, place in enumerate(PLACES):
        assert visits(orders[labels == label])[0, place] == 1
        assert step_entropies(orders[labels == label])[0] == 0
    assert step_entropies(orders)[0] == pytest.approx(log(3) / log(9))  # three places, equally often
    within, between = within_and_between(class_tau(orders, labels, 3), labels)
    assert within > between


def test_the_keys_order_is_the_cheapest_and_costs_what_the_truth_does(known: Known) -> None:
    codes, labels = known.codes.numpy(), known.labels.numpy()
    truth = -log_probs(codes, labels)
    first = key_first(labels)
    costs = {
        name: -known.log_probs(order).sum(axis=1)
        for name, order in (
            ("first", first),
            ("last", np.roll(first, -1, axis=1)),
            ("greedy", known.greedy()),
        )
    }
    over = {name: float((cost - truth).mean()) / GRID.positions for name, cost in costs.items()}
    assert -0.005 < over["first"] < 0.02  # nats a code; a true model would be at 0 in every order
    assert abs(over["greedy"] - over["first"]) < 0.005
    assert over["last"] > over["first"]
    every = np.zeros_like(labels)
    (told,) = v_information(
        known.log_probs(np.roll(first, -1, axis=1)), known.log_probs(known.greedy()), every
    )
    assert told.gain > 2 * told.error


def test_images_drawn_greedily_begin_at_the_key_and_follow_it(known: Known, tmp_path: Path) -> None:
    labels = torch.arange(600) % len(PLACES)
    config = SamplesConfig(model="keyed", count=600, policy=GreedyConfig(select="greedy"))
    walk = sample_tokens(known.model, labels, config, samples=torch.arange(600), seed=0)
    places = torch.from_numpy(PLACES)[labels]
    assert (walk.order[:, 0] == places).all()
    key = walk.tokens.gather(1, places[:, None])
    assert float((key < KEYS).double().mean()) > 0.99
    shares = torch.bincount(key[:, 0], minlength=KEYS).numpy()[:KEYS] / 600
    np.testing.assert_allclose(shares, CHANCES, atol=0.08)
    follows = (walk.tokens == KEYS + key).sum(dim=1).double() / (GRID.positions - 1)
    assert float(follows.mean()) == pytest.approx(1 - WRONG, abs=0.03)
