"""Two runs side by side, made so that every difference is known."""

import math
from pathlib import Path

import numpy as np
import pytest

from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.reports.comparison import TwoRuns, two_runs
from oarpipe.reports.comparison_entries import MISSING, Change
from oarpipe.reports.comparison_numbers import Numbers
from tests.reports.runs import MODEL, evaluation, finish, likelihoods, measured

LR = {**MODEL, "train": {**MODEL["train"], "lr": 1e-3}}  # type: ignore[dict-item]


@pytest.fixture
def a(tmp_path: Path) -> Path:
    """One run's folder."""
    return tmp_path / "results" / "a"


@pytest.fixture
def b(tmp_path: Path) -> Path:
    """The other's."""
    return tmp_path / "results" / "b"


def only(runs: TwoRuns, measure: str) -> Numbers:
    """The one table of a measure."""
    (found,) = [one for one in runs.numbers if one.measure == measure]
    return found


def test_recipes_are_told_option_by_option_where_they_differ(a: Path, b: Path) -> None:
    finish(a, "seed-0/models/greedy", MODEL, {})
    finish(b, "seed-0/models/greedy", {**LR, "layers": 3}, {})
    finish(a, "seed-0/models/spiral", MODEL, {})
    runs = two_runs(a, b)
    assert runs.changes == [
        Change("models.greedy.train.lr", 5e-4, 1e-3),
        Change("models.greedy.layers", MISSING, 3),
    ]
    assert (runs.a.alone, runs.b.alone) == (["models.spiral"], [])
    assert runs.facts()["changes"][1] == {"option": "models.greedy.layers", "b": 3}


def test_equal_counts_are_paired_replicate_by_replicate(a: Path, b: Path) -> None:
    """What moves both alike cancels: the interval is that of the differences, moved to 4 - 3.5."""
    common = np.random.default_rng(0).normal(0, 9, 200)
    own = np.random.default_rng(1).normal(0.7, 0.1, 200)
    evaluation(a, {"x": measured({"fd[digits]": 3.5}, replicates=list(common))})
    evaluation(b, {"x": measured({"fd[digits]": 4.0}, content="1", replicates=list(common + own))})
    (row,) = only(two_runs(a, b), "fd[digits]").rows
    low, high = np.quantile(own, [0.025, 0.975]) - own.mean() + 0.5
    assert row.interval is not None
    assert (row.interval.low, row.interval.high) == pytest.approx((low, high))
    assert (row.a, row.b, row.difference.mean) == (3.5, 4.0, 0.5)
    assert (row.kind, row.words) == ("images, paired", "worse")


def test_other_counts_are_compared_without_pairs(a: Path, b: Path) -> None:
    common = np.random.default_rng(0).normal(0, 9, 50)
    evaluation(a, {"x": measured({"fd[digits]": 3.5}, replicates=list(common))})
    evaluation(b, {"x": measured({"fd[digits]": 4.0}, content="1", replicates=list(common), count=80)})
    (row,) = only(two_runs(a, b), "fd[digits]").rows
    every = [theirs - ours for ours in common for theirs in common]
    assert row.interval is not None
    assert row.interval.high - row.interval.low == pytest.approx(np.ptp(np.quantile(every, [0.025, 0.975])))
    assert (row.kind, row.words) == ("images, unpaired", "not distinguishable")


def test_three_seeds_in_common_give_students_interval(a: Path, b: Path) -> None:
    """Differences 1, 2 and 3: the mean is 2, the deviation 1, and t 4.303 with two degrees of freedom."""
    for seed, moved in enumerate((1.0, 2.0, 3.0)):
        evaluation(a, {"x": measured({"precision": 0.5}, replicates=(0.0, 0.0))}, seed=seed)
        evaluation(
            b, {"x": measured({"precision": 0.5 + moved}, content="1", replicates=(0.0, 0.0))}, seed=seed
        )
    evaluation(b, {"x": measured({"precision": 9.0})}, seed=3)
    (row,) = only(two_runs(a, b), "precision").rows
    half = 4.302652729911275 / math.sqrt(3)
    assert row.interval is not None
    assert (row.interval.low, row.interval.high) == pytest.approx((2 - half, 2 + half))
    assert (row.kind, row.words) == ("3 seeds", "not distinguishable")


def test_one_number_without_replicates_has_no_interval(a: Path, b: Path) -> None:
    evaluation(a, {"x": measured({"accuracy": 0.5})})
    evaluation(b, {"x": measured({"accuracy": 0.6}, content="1")})
    (row,) = only(two_runs(a, b), "accuracy").rows
    assert (row.interval, row.words) == (None, "no interval")


def test_samples_of_the_same_content_and_value_are_named_and_make_no_row(a: Path, b: Path) -> None:
    for run in (a, b):
        evaluation(run, {"x": measured({"accuracy": 0.5}), "y": measured({"accuracy": 0.5 + (run == b)})})
    found = only(two_runs(a, b), "accuracy")
    assert found.same == ["x"]
    assert [row.name for row in found.rows] == ["y"]  # the same samples, measured by other code


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"weights": "b" * 64}, "of different feature networks, digits aaaaaaaaaaaa and digits bbbbbbbbbbbb"),
        ({"reference": "2" * 64}, "of different references, digits train 111111111111 and digits train 2222"),
        ({"convention": "fidelity"}, "of different conventions, adm and fidelity"),
    ],
)
def test_what_was_measured_otherwise_is_refused_with_the_reason(
    a: Path, b: Path, other: dict[str, str], why: str
) -> None:
    evaluation(a, {"x": measured({"fd[digits]": 3.5})})
    evaluation(b, {"x": measured({"fd[digits]": 4.0}, content="1", **other)})  # type: ignore[arg-type]
    runs = two_runs(a, b)
    found = only(runs, "fd[digits]")
    assert found.refused is not None
    assert found.refused.startswith(why)
    assert found.rows == []
    assert only(runs, "mean_step_distance").rows  # no network measured it
    runs.check()


def test_runs_of_which_no_number_compares_are_an_error(a: Path, b: Path) -> None:
    likelihoods(a, {"raster": [1.0, 2.0]}, tokens="t")
    likelihoods(b, {"raster": [1.0, 2.0]}, tokens="u")
    with pytest.raises(FingerprintMismatch, match=r"no number of .*: of different tokens, t{12} and u{12}"):
        two_runs(a, b).check()


def test_likelihoods_of_the_same_images_are_paired(a: Path, b: Path) -> None:
    """Every image costs a little more, within an interval of about two standard errors of the difference."""
    image = np.random.default_rng(0).normal(3, 0.5, 400)
    more = np.random.default_rng(1).normal(0.01, 0.02, 400)
    likelihoods(a, {"raster": image.tolist(), "random": image.tolist()})
    likelihoods(b, {"raster": (image + more).tolist(), "random": image.tolist()})
    found = only(two_runs(a, b), "nll")
    assert found.same == ["any, random"]
    (row,) = found.rows
    assert row.interval is not None
    half = 1.96 * more.std() / 20
    assert row.difference.mean == pytest.approx(more.mean())
    assert (row.interval.low, row.interval.high) == pytest.approx(
        (more.mean() - half, more.mean() + half), abs=0.15 * half
    )
    assert row.words == "worse"


def test_contents_are_compared_and_a_difference_is_explained(a: Path, b: Path) -> None:
    for run, lr, text in ((a, MODEL, "one"), (b, LR, "other")):
        content = {"weights": text}
        finish(run, "seed-0/models/same", MODEL, {"w.json": "alike"}, seconds=5)
        finish(run, "seed-0/models/recipe", lr, {"w.json": content}, seconds=60)
        finish(run, "seed-0/models/inputs", MODEL, {"w.json": content}, inputs={"tokens": text})
        finish(run, "seed-0/models/machine", MODEL, {"w.json": content})
    (one,) = two_runs(a, b).work
    assert (one.table, one.count, one.same) == ("models", 4, 1)
    assert one.recipe == ["seed-0/models/recipe"]
    assert one.inputs == ["seed-0/models/inputs"]
    assert one.result == ["seed-0/models/machine"]
    assert (one.seconds_a, one.seconds_b) == (85, 85)


def test_searches_tell_which_settings_they_chose(a: Path, b: Path) -> None:
    for run, temperature in ((a, 1.0), (b, 0.8)):
        best = {"temperature": temperature, "guidance": 1.5}
        finish(run, "seed-0/searches/best/any", {}, {"search.json": {"best": best}})
    assert two_runs(a, b).choices == [Change("seed-0/searches/best/any", "T 1, g 1.5", "T 0.8, g 1.5")]


def test_a_small_difference_is_told_with_two_digits(a: Path, b: Path) -> None:
    evaluation(a, {"x": measured({"fd[digits]": 0.0021, "precision": 0.5})})
    evaluation(b, {"x": measured({"fd[digits]": 0.0024, "precision": 0.75}, content="1")})
    runs = two_runs(a, b)
    assert (only(runs, "fd[digits]").digits, only(runs, "precision").digits) == (5, 3)


def test_the_summary_counts_intervals_and_what_chance_would_do(a: Path, b: Path) -> None:
    spread = (-0.1, 0.1)
    evaluation(a, {name: measured({"fd[digits]": 3.0}, replicates=spread) for name in "xy"})
    sets = {
        "x": measured({"fd[digits]": 9.0}, content="1", replicates=spread),
        "y": measured({"fd[digits]": 3.0}, content="1", replicates=spread[::-1]),
    }
    evaluation(b, sets)
    assert two_runs(a, b).summary.startswith("1 of 2 intervals excludes zero; if nothing differed, about 0.1")


def test_numbers_that_are_not_those_that_were_written_are_refused(a: Path, b: Path) -> None:
    for run in (a, b):
        evaluation(run, {"x": measured({"fd[digits]": 3.5})})
    file = b / "seed-0/evaluations/e/metrics.json"
    file.write_text(file.read_text().replace("3.5", "1.5"))
    with pytest.raises(IncompleteData, match=r"metrics.json is damaged"):
        two_runs(a, b)


def test_runs_without_a_common_seed_or_entry_are_an_error(a: Path, b: Path) -> None:
    finish(a, "seed-0/models/any", MODEL, {})
    finish(b, "seed-1/models/any", MODEL, {})
    with pytest.raises(BadInput, match=r"no seed in common \(0; 1\)"):
        two_runs(a, b).check()
    finish(b, "seed-0/models/other", MODEL, {})
    with pytest.raises(BadInput, match="no finished entry in common"):
        two_runs(a, b).check()
