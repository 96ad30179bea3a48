"""What a study shows: sets that differ in what is compared alone, pairs of one class and one seed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.receipts import checked
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.study.design import Design, design
from tests.study.given import samples


def made(first: Path, second: Path, **options: Any) -> Design:
    """A small study of two sets."""
    given = {"compared": ["model"], "pairs": 10, "checks": 2, "repeats": 2, "seed": 0, **options}
    return design(checked(first, "samples"), checked(second, "samples"), **given)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Two sets of five classes that differ in their model."""
    return samples(tmp_path, "one"), samples(tmp_path, "two")


def test_a_pair_is_one_sample_of_both_sets(two: tuple[Path, Path]) -> None:
    stores = {name: SampleStore.open(path / "samples.zarr") for name, path in zip("ab", two, strict=True)}
    for pair in made(*two).pairs:
        assert pair.label == pair.sample % 5
        for name, store in stores.items():
            np.testing.assert_array_equal(pair.pictures[name], store.read("images")[pair.sample])


def test_classes_come_equally_often_and_no_sample_twice(two: tuple[Path, Path]) -> None:
    pairs = made(*two).pairs
    assert np.bincount([pair.label for pair in pairs]).tolist() == [2] * 5
    assert len({pair.sample for pair in pairs}) == 10


def test_the_seed_decides_which_samples_are_shown(two: tuple[Path, Path]) -> None:
    shown = [[pair.sample for pair in made(*two, seed=seed).pairs] for seed in (0, 0, 1)]
    assert shown[0] == shown[1]
    assert shown[0] != shown[2]


def test_sets_of_different_counts_share_the_samples_of_the_smaller(tmp_path: Path) -> None:
    first, second = samples(tmp_path, "one", count=12), samples(tmp_path, "two", count=30)
    assert max(pair.sample for pair in made(first, second, pairs=12).pairs) < 12


def test_a_check_is_a_picture_beside_its_own_pixels_elsewhere(two: tuple[Path, Path]) -> None:
    study = made(*two)
    assert [check.item for check in study.checks] == [10, 11]
    shown = {pair.sample: pair.pictures for pair in study.pairs}
    for check in study.checks:
        whole, degraded = check.pictures["whole"], check.pictures["degraded"]
        assert any(np.array_equal(whole, picture) for picture in shown[check.sample].values())
        colours = [sorted(map(tuple, picture.reshape(-1, 3))) for picture in (whole, degraded)]
        assert colours[0] == colours[1]
        assert (whole != degraded).any(axis=-1).mean() > 0.8


def test_a_check_is_of_a_picture_with_something_on_it(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(250, 256, (2, 30, 8, 8, 3), dtype=np.uint8)
    images[1, 7] = np.arange(192).reshape(8, 8, 3)
    sets = [samples(tmp_path, name, images=one) for name, one in zip(("one", "two"), images, strict=True)]
    assert made(*sets, pairs=30, checks=1).checks[0].sample == 7
    images[0], images[1] = 255, 0
    plain = [samples(tmp_path / "p", name, images=one) for name, one in zip(("a", "b"), images, strict=True)]
    with pytest.raises(BadInput, match="--checks: the pictures have one colour only"):
        made(*plain)


def test_pairs_that_show_one_picture_twice_are_passed_over(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 8, 8, 3), dtype=np.uint8)
    images[1, :20] = images[0, :20]
    sets = [samples(tmp_path, name, images=one) for name, one in zip(("one", "two"), images, strict=True)]
    study = made(*sets)
    assert sorted(pair.sample for pair in study.pairs) == list(range(20, 30))
    with pytest.raises(BadInput, match=r"30 samples in common, and 20 of these pairs .* at most 10"):
        made(*sets, pairs=11)


def test_what_differs_is_told(tmp_path: Path) -> None:
    first, second = samples(tmp_path, "one"), samples(tmp_path, "two", temperature=0.9, batch=8)
    study = made(first, second, compared=["model", "temperature"])
    assert study.differences == {"model": ("one_model", "two_model"), "temperature": (1.0, 0.9)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"temperature": 0.9}, "differ in temperature .1.0 and 0.9., which is not compared"),
        ({"guidance": {"scale": 2.0}}, "differ in guidance"),
        ({"classes": 4}, "sample 4 is of class 4 in .*one and of class 0 in .*two"),
        ({"first": 7}, "sample 0 is of seed 0 in .*one and of seed 7 in .*two"),
        ({"resolution": 6}, "images of 8 pixels and .* of 6"),
        ({"book_seed": 1}, "under seed 0, .*two under seed 1, so their pairs share no noise"),
    ],
)  # fmt: skip
def test_sets_that_differ_in_anything_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    options = {"classes": 5} | changes
    with pytest.raises(FingerprintMismatch, match=said) as refused:
        made(samples(tmp_path, "one"), samples(tmp_path, "two", **options))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"tokenizer": "f0"}, "decoded by different tokenizers"),
        ({"model": "f0"}, "differ in model"),
        ({"head.order_heads.h.seed-0": "f0"}, "differ in policy"),
    ],
)
def test_what_has_one_name_but_was_made_otherwise_differs(
    tmp_path: Path, inputs: dict[str, str], said: str
) -> None:
    first, second = (checked(samples(tmp_path, name, model="m"), "samples") for name in ("one", "two"))
    options = {"pairs": 10, "checks": 2, "repeats": 2, "seed": 0}
    assert design(first, second, compared=[], **options).differences == {}
    with pytest.raises(FingerprintMismatch, match=said):
        design(first, replace(second, inputs=inputs), compared=[], **options)


def test_a_set_is_not_compared_with_itself(tmp_path: Path) -> None:
    one = samples(tmp_path, "one")
    with pytest.raises(BadInput, match="hold the same images"):
        made(one, one)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compared": ["modles"]}, "no option 'modles': did you mean .model."),
        ({"repeats": 6}, "at most half of the pairs .5."),
        ({"pairs": 31}, "30 samples in common"),
    ],
)
def test_a_design_that_cannot_be_made_is_refused(
    two: tuple[Path, Path], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        made(*two, **options)
