"""What several processes agree upon, and that one alone is asked nothing."""

import pytest
import torch

from oarpipe.base.distributed import World, any_of, joined, shared, tells, world
from oarpipe.base.sums import assembled, summed
from oarpipe.errors import BadInput
from tests.processes import together


def test_one_process_is_given_back_what_it_says() -> None:
    assert world() == World(0, 1, 0, 1)
    one = torch.ones(3)
    with joined():
        assert summed(one) is one
        assert assembled(one, torch.arange(3), 3) is one
        assert any_of(True, False) == [True, False]
        assert shared(lambda: "word") == "word"
        assert tells()


def agreed() -> tuple[object, ...]:
    rank = world().rank
    mine = torch.tensor([float(rank + 1)], requires_grad=True)
    total = summed(mine * 2)
    (total**2 * (rank + 1)).backward()
    rows = torch.tensor([[0, 3], [1, 2]][rank])
    whole = assembled(rows * 10, rows, 4)
    return (
        any_of(rank == 1, False),
        shared(lambda: f"by {rank}"),
        whole.tolist(),
        total.item(),
        mine.grad.item() if mine.grad is not None else None,
    )


def test_two_processes_agree() -> None:
    """Claims, the first one's word, a tensor put together, a sum, and the gradient of both losses by it.

    The sum is 2 + 4 = 6; the losses are 36 and 72, by it 12 and 24, and by each process's number twice both.
    """
    assert together(agreed) == [([True, False], "by 0", [0, 10, 20, 30], 6.0, 72.0)] * 2


def refusing() -> tuple[str, bool]:
    def refuse() -> None:
        raise BadInput("no")

    try:
        shared(refuse)
    except BadInput as error:
        return str(error), tells()
    except SystemExit as left:
        return f"status {left.code}", False
    return "nothing", False


def test_where_the_first_process_fails_the_others_end_with_its_status_and_without_a_word() -> None:
    assert together(refusing) == [("no", True), ("status 2", False)]


def first_to_tell() -> bool:
    return tells()


def test_one_of_two_that_fail_tells() -> None:
    assert sorted(together(first_to_tell)) == [False, True]


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput, match="4 processes on a machine that shows 2 GPUs"), joined():
        pass
