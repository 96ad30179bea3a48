"""Which skills a tuning left: numbers, intervals and words, from a grown tree and from rows made by hand."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.files import read_json
from oarpipe.reports.arms import Tuning
from oarpipe.reports.claims import Verdict
from oarpipe.reports.health import Health, health
from oarpipe.reports.intervals import Difference, Interval
from oarpipe.reports.likelihoods import likelihood_series
from oarpipe.reports.results import Results
from oarpipe.reports.skills import CLASSES, DRAWN, HOLES, ORDERS, ModelHealth, Skill, SkillRow
from oarpipe.reports.tables import Cell
from tests.reports.conftest import read_results
from tests.reports.tree import small_book

RANDOM_SAMPLES = "fd[digits] in random order"


def results(root: Path, seeds: tuple[int, ...] = (0,), **samples: Any) -> Results:
    return read_results(small_book(seeds, **samples), root)


def told(found: Results) -> Health:
    whole = health(found, likelihood_series(found))
    assert whole is not None
    return whole


def of(found: Results, model: str) -> ModelHealth:
    return next(one for one in told(found).models if one.model == model)


def row(one: ModelHealth, name: str) -> SkillRow:
    return next(each for each in one.rows if each.skill.name == name)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results(tmp_path_factory.mktemp("three"), (0, 1, 2))


def test_a_likelihoods_change_is_that_of_the_same_images_and_its_interval_too(one_seed: Results) -> None:
    walked = one_seed.information[0]["models"]
    for name in ("random", "raster", "half"):
        after, before = (np.array(walked[m][name]["per_sample"]) for m in ("greedy_annealed", "any"))
        change = after - before
        told = row(of(one_seed, "greedy_annealed"), name)
        assert (told.before.text, told.after.text) == (f"{before.mean():.3f}", f"{after.mean():.3f}")
        assert told.found is not None
        assert told.found.mean == pytest.approx(change.mean(), abs=1e-5)
        assert told.found.interval is not None
        half = 1.96 * change.std(ddof=1) / np.sqrt(len(change))
        ends = (told.found.interval.low, told.found.interval.high)
        assert ends == pytest.approx((change.mean() - half, change.mean() + half), abs=0.2 * half)
        assert (told.verdict, told.word) == (Verdict.AGAINST, "worse")  # 0.036 nats, by the tree


def test_of_accuracies_more_is_better(one_seed: Results) -> None:
    told = row(of(one_seed, "greedy_annealed"), "class over 20 random orders")
    assert (told.before.text, told.after.text, told.change) == ("0.900", "0.600", "−0.300")
    assert told.verdict is Verdict.AGAINST
    assert "class over 20 random orders by 30.0 points" in of(one_seed, "greedy_annealed").sentence


def test_images_drawn_in_random_order_are_compared_where_both_models_drew_some(one_seed: Results) -> None:
    told = row(of(one_seed, "greedy_annealed"), RANDOM_SAMPLES)
    points = [
        one_seed.series(f"{model}_random", "plain", "fd[digits]")[0].point
        for model in ("any", "greedy_annealed")
    ]
    assert (told.before.text, told.after.text) == tuple(f"{point:.2f}" for point in points)
    assert told.verdict is Verdict.AGAINST
    assert f"{RANDOM_SAMPLES} by {points[1] - points[0]:.2f}" in of(one_seed, "greedy_annealed").sentence


def test_of_what_was_not_measured_nothing_is_said(one_seed: Results) -> None:
    raster = of(one_seed, "raster_annealed")  # sampled in raster order alone
    missing = row(raster, RANDOM_SAMPLES)
    assert (missing.after, missing.change, missing.word) == (Cell(), "", "not run")
    assert (Verdict.NOT_RUN, "1 not run") in raster.chips
    assert f"Nothing is said of {RANDOM_SAMPLES}." in raster.sentence
    assert RANDOM_SAMPLES not in raster.sentence[: raster.sentence.index("Nothing is said")]


def test_images_drawn_by_other_settings_are_not_compared(tmp_path: Path) -> None:
    follow = {"select": "follow", "order": {"kind": "random"}}
    warm = {"model": "greedy_annealed", "count": 40, "temperature": 1.1, "policy": follow}
    told = row(of(results(tmp_path, greedy_annealed_random=warm), "greedy_annealed"), RANDOM_SAMPLES)
    assert told.after != Cell()
    assert (told.before, told.verdict) == (Cell(), Verdict.NOT_RUN)


def test_an_untuned_model_has_its_plain_values(one_seed: Results) -> None:
    base = of(one_seed, "any")
    assert (base.base, base.chips) == (None, [])
    assert base.sentence == "Not tuned, so there is nothing before it."
    assert all(each.after != Cell() and each.found is None for each in base.rows)


def test_rows_stand_in_groups_and_tell_which_orders_a_model_was_tuned_on(one_seed: Results) -> None:
    raster = of(one_seed, "raster_annealed")
    groups = {heading: [each.skill.name for each in rows] for heading, rows in raster.groups}
    assert groups == {
        ORDERS: ["random", "raster"],
        HOLES: ["half"],
        DRAWN: [RANDOM_SAMPLES],
        CLASSES: ["class over one random order", "class over 20 random orders"],
    }
    assert row(raster, "raster").note == "tuned on these"
    assert row(of(one_seed, "greedy_annealed"), "raster").note == ""
    assert row(raster, "random").skill.note == "2 an image, which no training saw"
    assert row(raster, "class over one random order").skill.note == "40 images"
    many = row(raster, "class over 20 random orders")
    assert many.skill.note == "40 images; after the first order, its 3 likeliest classes"


def test_the_spread_between_orders_stands_below_the_random_orders_likelihood(one_seed: Results) -> None:
    greedy = of(one_seed, "greedy_annealed")
    assert row(greedy, "random").before.detail.endswith("; 0.050 between orders")
    assert row(greedy, "random").after.detail.endswith("; 0.080 between orders")
    assert "between orders" not in row(greedy, "raster").after.detail


def test_three_seeds_decide_by_the_interval_over_seeds(one_seed: Results, three_seeds: Results) -> None:
    told = row(of(three_seeds, "greedy_annealed"), RANDOM_SAMPLES)
    assert told.found is not None
    assert told.found.interval == told.found.over_seeds
    assert "on this seed" in of(one_seed, "greedy_annealed").sentence
    assert "seed" not in of(three_seeds, "greedy_annealed").sentence


def test_a_run_without_likelihoods_has_no_such_section(one_seed: Results) -> None:
    assert health(one_seed, {}) is None


def test_where_nothing_was_classified_there_are_the_other_rows(tmp_path: Path) -> None:
    found = results(tmp_path)
    facts = read_json(found.receipts["information"][0].folder / "information.json")
    del facts["classification"]
    found.__dict__["information"] = {0: facts}
    assert {skill.group for skill in told(found).skills} == {ORDERS, HOLES, DRAWN}


def made(name: str, low: float, high: float, group: str = ORDERS) -> SkillRow:
    interval = Interval(low, high)
    change = Difference((low + high) / 2, {0: (low + high) / 2}, None, interval)
    unit = "points" if group == CLASSES else "nats"
    return SkillRow(Skill(group, name, name, unit), Cell(), Cell(), change)


def test_the_words_follow_from_the_intervals_alone() -> None:
    rows = [
        made("random", 0.01, 0.03),
        made("raster", -0.03, -0.01),
        made("greedy", -0.01, 0.02),
        made("class", 0.01, 0.03, CLASSES),
        made("classes", -0.07, 0.03, CLASSES),
        SkillRow(Skill(HOLES, "half", "half"), Cell(), Cell(), None),
        SkillRow(Skill(HOLES, "most", "most"), Cell(), Cell(), Difference(0.5, {0: 0.5}, None, None)),
    ]
    one = ModelHealth("m", Tuning("raster"), "any", rows, seeds=1)
    assert one.sentence == (
        "Worse on this seed: random by 0.020 nats. Not distinguishable, and worse at most: greedy by 0.020 "
        "nats, classes by 7.0 points. Better: raster, class. Nothing is said of half, most."
    )
    assert [words for _, words in one.chips] == [
        *("1 worse", "2 not distinguishable", "2 better"),
        *("1 no interval was computed", "1 not run"),
    ]
    unknown = ModelHealth("m", Tuning("raster"), "any", rows[5:], seeds=1)
    assert unknown.sentence == "Nothing was measured both in it and in any, so nothing is said of it."
    unharmed = ModelHealth("m", Tuning("raster"), "any", rows[2:3], seeds=3)
    assert unharmed.sentence == (
        "Worse: nothing. Not distinguishable, and worse at most: greedy by 0.020 nats. Better: nothing."
    )


def test_the_page_has_an_overview_and_a_table_a_model(page: str) -> None:
    section = re.search(r'<section id="health".*?</section>', page, flags=re.DOTALL)
    assert section
    text = section[0]
    assert "one interval excludes zero by chance" in text  # the rule is told
    assert re.findall(r'<details id="health-(\w+)"', text) == [
        *("any", "raster_annealed", "greedy_annealed", "greedy", "random")
    ]
    table = text[text.index('id="health-greedy_annealed"') :]
    assert re.search(r"class over 20 random orders.*?0\.900.*?0\.600.*?−0\.300.*?worse<", table, re.DOTALL)
    assert 'href="#made-information-i"' in text
    assert '<a href="#health">Skills</a>' in page
