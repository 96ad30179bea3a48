"""Shards divide a stage's work; together they are the work, exactly."""

import pytest

from oarpipe.base.shards import Shard
from oarpipe.errors import BadInput


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_shares_of_all_shards_are_the_items(count: int) -> None:
    items = list(range(13))
    shares = [Shard(i, count).of(items) for i in range(1, count + 1)]
    assert [item for share in shares for item in share] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_shard_reads_what_it_prints() -> None:
    assert Shard.parse("3-of-8") == Shard(3, 8)
    assert str(Shard.parse("3-of-8")) == "3-of-8"


@pytest.mark.parametrize("text", ["0-of-8", "9-of-8", "3/8", "-1-of-8", "3-of-8 ", "3-of-0", ""])
def test_a_wrong_shard_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput, match="such as 3-of-8"):
        Shard.parse(text)
