"""Verdicts and sentences, by hand."""

import pytest

from oarpipe.reports.claims import (
    PLAIN,
    Claim,
    Side,
    Verdict,
    Words,
    against,
    compare,
    number,
    signed,
)
from oarpipe.reports.intervals import Series, Value

A, B = Side("a", "arm a"), Side("b", "arm b")


def series(*points: float, spread: float = 0.1) -> Series:
    return {seed: Value(point, (point - spread, point, point + spread)) for seed, point in enumerate(points)}


def noisy(*points: float) -> Series:
    return {seed: Value(point, (point + 9, point - 9)) for seed, point in enumerate(points)}


def claim(left: Series, right: Series, words: Words = Words(), paper: str | None = "yes") -> Claim:  # noqa: B008
    one = compare(A, B, {("a", PLAIN): left, ("b", PLAIN): right})
    return Claim("key", "A beats B", paper, (one,), words)


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [
        (series(1.0), series(2.0), "on this seed: better"),
        (series(2.0), series(1.0), "on this seed: worse"),
        (series(1.0), {0: Value(1.5)}, "no interval was computed"),
        (noisy(1.0), {0: Value(1.5, (1.5, 1.5))}, "on this seed: not distinguishable"),
        (series(1.0, 1.0), series(2.0, 2.0), "on these 2 seeds: better"),
        (series(1.0, 1.1, 1.0), series(2.0, 2.0, 2.0), "holds"),
        (series(2.0, 2.0, 2.1), series(1.0, 1.0, 1.0), "does not hold"),
        (series(1.0, 2.0, 0.0), series(1.1, 1.0, 1.0), "not distinguishable"),
    ],
)
def test_the_interval_and_the_number_of_seeds_decide_the_words(
    left: Series, right: Series, said: str
) -> None:
    assert claim(left, right).chip() == said


def test_three_seeds_that_agree_by_images_alone_do_not_make_a_claim_hold() -> None:
    one = claim(series(1.0, 1.9, 1.0, spread=0.01), series(2.0, 2.0, 2.0, spread=0.01))
    assert one.comparisons[0].difference is not None
    assert one.comparisons[0].difference.over_images is not None
    assert one.comparisons[0].difference.over_images.excludes_zero()
    assert one.verdict() is Verdict.OPEN


def test_a_claim_of_several_comparisons_needs_them_all_and_skips_what_was_not_run() -> None:
    values = {("a", PLAIN): series(2.0), ("b", PLAIN): series(3.0), ("c", PLAIN): series(1.0)}
    better, worse = compare(A, B, values), compare(A, Side("c", "arm c"), values)
    absent = compare(A, Side(None, "arm d"), values)
    assert Claim("k", "t", None, (better, absent)).verdict() is Verdict.FOR
    assert Claim("k", "t", None, (better, worse)).verdict() is Verdict.AGAINST
    assert Claim("k", "t", None, (absent,)).chip() == "not run"


def test_the_words_of_a_claim_can_be_its_own() -> None:
    assert claim(series(2.0), series(1.0), Words("kept", "lost")).chip() == "on this seed: lost"


def test_a_sentence_tells_both_values_the_difference_and_its_interval() -> None:
    one = claim(series(1.0), {0: Value(2.5, (2.5, 2.5, 2.5))}).comparisons[0]
    assert one.sentence() == (
        "Arm a: FD 1.00; arm b: 2.50. "
        "Difference −1.50, 95 % interval −1.59 to −1.41 (images of seed 0 resampled)."
    )


def test_a_sentence_of_three_seeds_tells_each_and_both_intervals() -> None:
    text = claim(series(1.0, 2.0, 3.0), series(2.0, 4.0, 6.0)).comparisons[0].sentence()
    assert "Mean difference over 3 seeds −2.00 (−1.00, −2.00, −3.00)" in text
    assert "95 % t-interval −4.48 to +0.48" in text
    assert "images alone resampled" in text


def test_a_missing_arm_is_said_to_be_missing() -> None:
    one = compare(A, Side(None, "tuned on raster orders"), {("a", PLAIN): series(1.0)})
    assert one.verdict is Verdict.NOT_RUN
    assert one.sentence() == "Not run here: “tuned on raster orders”."


def test_a_setting_in_which_one_arm_was_not_measured_is_not_run() -> None:
    one = compare(A, B, {("a", "best"): series(1.0), ("b", PLAIN): series(1.0)}, setting="best")
    assert one.verdict is Verdict.NOT_RUN
    assert "not both measured" in one.sentence()


def test_what_contradicts_the_paper_is_said_and_what_does_not_is_not() -> None:
    (said,) = against([claim(series(2.0), series(1.0))])
    assert said.startswith("“Arm b” is ahead of “arm a” on this seed, by 1.00 FD (95 % interval")
    assert against([claim(series(1.0), series(2.0))]) == []
    assert against([claim(series(2.0), series(1.0), paper=None)]) == []


def test_one_sentence_tells_a_contradiction_in_all_settings() -> None:
    values = {(arm, s): series(v) for s in (PLAIN, "best") for arm, v in (("a", 2.0), ("b", 1.0))}
    both = tuple(compare(A, B, values, setting=setting) for setting in (PLAIN, "best"))
    (said,) = against([Claim("k", "t", "yes", both)])
    assert "each at its best setting of search “best” by 1.00 FD" in said


def test_numbers_have_a_true_minus_and_no_negative_zero() -> None:
    assert number(-1.234, 2) == "−1.23"
    assert number(-0.001, 2) == "0.00"
    assert signed(1.0, 1) == "+1.0"
    assert signed(-0.001, 2) == "0.00"
