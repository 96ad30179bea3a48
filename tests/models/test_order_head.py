"""The order head: what it sees, what it keeps, and its folder."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from oarpipe.errors import IncompleteData
from oarpipe.models.order_head import WEIGHTS, OrderHead, filled_before, load_head

ORDER = torch.tensor([[2, 0, 3, 1], [1, 3, 0, 2]])
LABELS = torch.tensor([0, 2])


@pytest.fixture
def head() -> OrderHead:
    made = OrderHead(positions=4, classes=3, body_width=6, width=8)
    made.initialise(0)
    return made.eval()


def walked() -> tuple[Tensor, Tensor]:
    drawn = torch.randn(2, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    return drawn[0], drawn[1]


def test_what_is_filled_before_a_step_is_the_order_up_to_it() -> None:
    for b, order in enumerate(ORDER.tolist()):
        for step in range(4):
            found = filled_before(ORDER)[b, step].nonzero().flatten().tolist()
            assert found == sorted(order[:step])


@pytest.mark.parametrize("step", range(4))
def test_a_prediction_sees_the_steps_before_it_and_nothing_later(head: OrderHead, step: int) -> None:
    answers, content = (x.requires_grad_() for x in walked())
    head(answers, content, ORDER, LABELS)[:, step].sum().backward()
    for seen in (answers.grad, content.grad):
        assert seen is not None
        assert [bool(seen[:, t].abs().sum() > 0) for t in range(4)] == [t < step for t in range(4)]


def test_the_first_prediction_knows_the_class(head: OrderHead) -> None:
    first = head(*walked(), ORDER, LABELS)[:, 0]
    assert not torch.allclose(first[0], first[1])


def test_a_fresh_head_tells_places_apart_a_little_and_the_same_for_the_same_seed(head: OrderHead) -> None:
    scores = head(*walked(), ORDER, LABELS).detach()
    assert 0.01 < float(scores.std(dim=2).mean()) < 1.0
    twin = OrderHead(positions=4, classes=3, body_width=6, width=8)
    twin.initialise(0)
    assert torch.equal(twin.eval()(*walked(), ORDER, LABELS), scores)


def test_a_head_comes_back_from_its_folder(head: OrderHead, tmp_path: Path) -> None:
    head.save(tmp_path)
    assert torch.equal(load_head(tmp_path)(*walked(), ORDER, LABELS), head(*walked(), ORDER, LABELS))


def test_a_damaged_head_is_an_error_and_named(head: OrderHead, tmp_path: Path) -> None:
    head.save(tmp_path)
    whole = (tmp_path / WEIGHTS).read_bytes()
    (tmp_path / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IncompleteData, match=str(tmp_path)):
        load_head(tmp_path)
