"""What a book may say of images."""

from typing import Any

import pytest

from oarpipe.config.tables import validate_entry


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"kind": "tar", "test_labels": "val.txt"}, "test_labels: of which images? name them by test_path"),
        ({"kind": "arrays", "test_labels": "y.npy"}, "test_labels: of which images? name them by test_path"),
        ({"kind": "folder", "test_every": 1}, "datasets.mine.test_every: input should be greater than"),
        ({"kind": "folder", "max_rejected": 1.0}, "datasets.mine.max_rejected: input should be less than 1"),
        ({"kind": "folder", "labels": "y.npy"}, "datasets.mine.labels: unknown key"),
        ({"kind": "tars"}, "did you mean 'tar'?"),
    ],
)
def test_a_mistake_is_named(entry: dict[str, Any], says: str) -> None:
    made, problems = validate_entry("datasets", "mine", {"path": "x", **entry})
    assert made is None
    assert len(problems) == 1
    assert says in problems[0]


def test_no_image_need_be_held_out() -> None:
    made, problems = validate_entry("datasets", "mine", {"kind": "folder", "path": "x", "test_every": None})
    assert not problems
    assert made is not None
