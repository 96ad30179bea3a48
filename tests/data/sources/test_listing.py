"""What holds for every kind: class names, held-out images, and noticing a change."""

import dataclasses

import pytest

from oarpipe.data.sources.listing import Found, arrange, class_names, class_split
from oarpipe.errors import BadInput


def test_every_nth_of_each_class_is_held_out() -> None:
    labels = [0] * 7 + [1] * 2 + [2] * 3
    held_out = [i for i, split in enumerate(class_split(labels, 3)) if split == "test"]
    assert held_out == [2, 5, 11]
    assert set(class_split(labels, None)) == {"train"}


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("STRASSE", "straße"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_a_file_system_may_take_for_one_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadInput, match="differ only by case"):
        class_names(pair)


def test_numbers_number_the_classes_only_where_asked() -> None:
    assert class_names(["2", "10"]) == ["10", "2"]
    assert class_names(["2", "0"], may_number=True) == ["0", "1", "2"]
    assert class_names(["02", "0"], may_number=True) == ["0", "02"]


def test_a_class_may_be_called_anything() -> None:
    names = ['<b>cats</b> & "dogs"', "a, b", "雪", "c\nd"]
    assert class_names(names) == sorted(names)


def test_any_change_of_the_listing_changes_its_fingerprint() -> None:
    listing = arrange([Found("a/1", 5, "a"), Found("b/1", 6, "b")], test_every=None)
    changes = [
        {"path": ["a/2", "b/1"]},
        {"size": listing.size + 1},
        {"label": listing.label[::-1]},
        {"split": ["train", "test"]},
        {"classes": ["a", "c"]},
        {"captions": [("x",), ("y",)]},
        {"rejected": [("c/1", "why")]},
    ]
    prints = {dataclasses.replace(listing, **change).fingerprint() for change in changes}
    assert len(prints | {listing.fingerprint()}) == len(changes) + 1
    assert dataclasses.replace(listing, ignored=[("notes", "why")]).fingerprint() == listing.fingerprint()
