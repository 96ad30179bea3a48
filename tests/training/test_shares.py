"""Every row of a batch is one process's, and each has as many forwards as the others."""

from collections.abc import Callable

import pytest

from oarpipe.errors import BadInput
from oarpipe.training.shares import Share, divided, rows, shares

Cut = Callable[[int, int | None], list[Share]]


def of_all(
    patch: pytest.MonkeyPatch, size: int, batch: int, microbatch: int | None, cut: Cut = shares
) -> list[list[Share]]:
    patch.setenv("WORLD_SIZE", str(size))
    every = []
    for rank in range(size):
        patch.setenv("RANK", str(rank))
        every.append(cut(batch, microbatch))
    return every


@pytest.mark.parametrize("cut", [shares, divided])
@pytest.mark.parametrize(
    ("size", "batch", "microbatch"),
    [(1, 7, 3), (2, 7, None), (2, 8, 4), (3, 11, 4), (4, 64, 8), (5, 29, 6), (8, 8, None)],
)
def test_every_row_is_computed_once(
    size: int, batch: int, microbatch: int | None, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = of_all(monkeypatch, size, batch, microbatch, cut)
    assert sorted(row for each in every for row in rows(each).tolist()) == list(range(batch))
    assert len({len(each) for each in every}) == 1
    for share in (share for each in every for share in each):
        assert share.first <= share.begin < share.end <= share.last
        assert share.first == share.part * (microbatch or batch)


def test_whole_microbatches_are_dealt_out_where_that_is_even(monkeypatch: pytest.MonkeyPatch) -> None:
    every = of_all(monkeypatch, 2, 12, 3)
    assert [[(share.begin, share.end) for share in each] for each in every] == [
        [(0, 3), (3, 6)],
        [(6, 9), (9, 12)],
    ]


def test_a_part_with_fewer_samples_than_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=r"train\.batch 7 in microbatches of 3 has a part of 1 samples"):
        of_all(monkeypatch, 2, 7, 3)
