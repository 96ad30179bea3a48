"""What a model makes of held-out images, against walks token by token and models with known answers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from oarpipe.base import noise
from oarpipe.config.outputs import ClassificationConfig, InformationConfig
from oarpipe.data.token_store import TokenSet
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.orders.algebra import is_order
from oarpipe.training.held_out import class_hits, class_log_probs, classification, likelihood, walks_of
from oarpipe.training.objective import sample_nll, visits
from tests.conftest import published_weights
from tests.training.toy import CLASSES, CODEBOOK, GRID, tokens

RANDOM = {"kind": "random"}
ORDERS: dict[str, Any] = {
    "random": RANDOM,
    "backwards": {"kind": "reversed", "of": RANDOM},
    "raster": {"kind": "rule", "name": "raster"},
}


@pytest.fixture(scope="module")
def model() -> PositionTokens:
    network = PositionTokens(grid=GRID, codebook=CODEBOOK, classes=CLASSES, layers=2, heads=2, width=16)
    network.load_state_dict(published_weights(network))
    return network.double().eval()


def shuffled(rows: int = 12) -> TokenSet:
    """Codes that follow from nothing, so that no model finds all classes."""
    one = tokens(rows)
    one.tokens[:] = np.random.default_rng(0).integers(0, CODEBOOK, one.tokens.shape)
    return one


def token_by_token(model: PositionTokens, codes: np.ndarray, order: np.ndarray, label: int) -> float:
    """Log-probability of an image, nats: the last answer of every prefix of its walk, one after another."""
    total = 0.0
    for length in range(1, len(order) + 1):
        prefix = torch.tensor(order[None, :length])
        with torch.no_grad():
            logits = model(torch.tensor(codes[None]).long(), prefix, torch.tensor([label]))[0, -1].numpy()
        total += logits[codes[order[length - 1]]] - np.log(np.exp(logits).sum())
    return float(total)


def drawn_orders(count: int, draws: int, seed: int = 0) -> np.ndarray:
    """Random orders [draws, count, N]: a function of seed, sample and draw alone."""
    counters = torch.arange(count) + torch.arange(draws)[:, None] * 2**40
    flat = noise.permutations(seed, noise.Stream.VISIT, counters.flatten(), 0, GRID.positions)
    return flat.view(draws, count, -1).numpy()


def hits(model: PositionTokens, given: TokenSet, **options: Any) -> dict[int, list[bool]]:
    config = ClassificationConfig.model_validate(options)
    found = class_hits(model, given, config, batch=7, seed=0, what="test")
    return {count: hit.tolist() for count, hit in found.items()}


def test_a_class_is_that_of_the_likeliest_walks_made_token_by_token(model: PositionTokens) -> None:
    given = shuffled()
    found, orders = hits(model, given, orders=[1, 3]), drawn_orders(12, 3)
    walked = np.array(
        [
            [
                [token_by_token(model, given.tokens[i, 0], orders[k, i], label) for label in range(CLASSES)]
                for i in range(12)
            ]
            for k in range(3)
        ]
    )
    for count in (1, 3):
        nearest = walked[:count].mean(axis=0).argmax(axis=1)
        assert found[count] == (nearest == given.labels).tolist()
    assert found[1] != found[3]  # so the orders are averaged
    first = class_log_probs(
        model, given, torch.tensor(orders[0]), torch.arange(CLASSES).expand(12, -1), batch=5
    )
    assert first.numpy() == pytest.approx(walked[0], abs=1e-9)


class Painter(PositionTokens):
    """Class c paints code c everywhere, in nine places of ten; it tells nothing else apart."""

    def __init__(self) -> None:
        super().__init__(grid=GRID, codebook=CODEBOOK, classes=CLASSES, layers=1, heads=1, width=8)

    def forward(self, tokens: Tensor, order: Tensor, labels: Tensor) -> Tensor:
        share = torch.full((len(tokens), CODEBOOK), 0.1 / (CODEBOOK - 1))
        share[torch.arange(len(tokens)), labels] = 0.9
        return share.log()[:, None].expand(-1, order.shape[1], -1)


def test_an_image_is_of_the_class_that_most_of_its_codes_speak_for() -> None:
    given = tokens(10)
    given.tokens[:, 0] = given.labels[:, None]  # painted by their own class ...
    given.tokens[::2, 0, :5] = (given.labels[::2, None] + 1) % CLASSES  # ... but five of nine by the next
    assert hits(Painter(), given, orders=[1, 20]) == {k: [False, True] * 5 for k in (1, 20)}


def test_a_shortlist_asks_about_the_likeliest_classes_of_the_first_order_only(model: PositionTokens) -> None:
    given, orders = shuffled(), drawn_orders(12, 4)
    asked: list[int] = []

    class Counting(Painter):
        def forward(self, tokens: Tensor, order: Tensor, labels: Tensor) -> Tensor:
            asked.append(len(tokens))
            found: Tensor = model(tokens, order, labels)
            return found

    found = hits(Counting(), given, orders=[1, 4], shortlist=2)
    assert sum(asked) == 12 * (CLASSES + 3 * 2)
    for i in range(12):
        walked = np.array(
            [
                [token_by_token(model, given.tokens[i, 0], orders[k, i], c) for c in range(CLASSES)]
                for k in range(4)
            ]
        )
        two = walked[0].argsort()[-2:]
        assert found[4][i] == (two[walked[:, two].sum(axis=0).argmax()] == given.labels[i])
    whole = hits(model, given, orders=[1, 4])
    assert found[1] == whole[1]
    assert hits(model, given, orders=[1, 4], shortlist=CLASSES) == whole


def test_the_accuracy_is_the_share_of_hits(model: PositionTokens) -> None:
    config = ClassificationConfig(orders=[2])
    (told,) = classification(model, shuffled(), config, batch=64, seed=0, what="test").values()
    assert set(told["per_sample"]) == {0, 1}
    assert told["accuracy"] == pytest.approx(np.mean(told["per_sample"]))


def test_random_orders_are_drawn_so_often_an_image_and_others_walked_once(model: PositionTokens) -> None:
    entry = InformationConfig.model_validate(
        {"tokens": "t", "orders": ORDERS, "draws": 3, "holes": {"h": {"kind": "inpaint", "share": 0.5}}}
    )
    given = tokens()
    walks = walks_of(entry, given, 0, {})
    assert {name: walk.draws for name, walk in walks.items()} == {
        **{"random": 3, "backwards": 3, "raster": 1, "h": 1}
    }
    orders = [walks["random"].source(visits(given, slice(None), draw)) for draw in range(3)]
    assert torch.equal(torch.stack(orders), torch.tensor(drawn_orders(12, 3)))
    assert torch.equal(walks["backwards"].source(visits(given, slice(None), 2)), orders[2].flip(1))
    assert is_order(torch.cat(orders)).all()
    for name, walk in walks.items():
        told = likelihood(model, given, walk, batch=5)
        draws = torch.stack(
            [sample_nll(model, given, walk.source, last=walk.last, draw=d) for d in range(walk.draws)]
        )
        assert told["per_sample"] == pytest.approx(draws.mean(dim=0).tolist(), abs=1e-6)
        assert told["nll"] == pytest.approx(float(draws.mean()))
        assert ("spread" in told) == (name in ("random", "backwards"))
        if "spread" in told:
            within = [np.std(column, ddof=1) for column in draws.T.numpy()]
            assert told["spread"] == pytest.approx(np.sqrt(np.mean(np.square(within))))


def test_a_model_that_costs_the_same_in_every_order_has_no_spread() -> None:
    entry = InformationConfig.model_validate({"tokens": "t", "orders": {"random": RANDOM}, "draws": 4})
    (walk,) = walks_of(entry, tokens(), 0, {}).values()
    assert likelihood(Painter(), tokens(), walk, batch=64)["spread"] == pytest.approx(0, abs=1e-6)
