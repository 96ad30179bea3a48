"""Two conventions from one set of features; and numbers that do not compare are told apart."""

from dataclasses import replace

import numpy as np
import pytest

from oarpipe.base.identity import Identity
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.metrics import adm, fidelity
from oarpipe.metrics.conventions import Judge, Reference, Settings, reference_of
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.measurements import Measurement, Network, check_comparable
from oarpipe.metrics.statistics import Statistics, statistics
from tests.metrics.conftest import gaussian

INCEPTION = Network("inception", "inception", "a" * 64)
PHOTOS = Identity("photos", "b" * 64, 60)
SETTINGS = Settings(kernel_subsets=2, kernel_subset_size=20, split_size=25)


def with_spatial(one: FeatureSet, seed: int) -> FeatureSet:
    return replace(one, spatial=statistics(gaussian(len(one), 3, seed).features))


REFERENCE = with_spatial(gaussian(60, 4, 0), 5)
SAMPLES = with_spatial(gaussian(50, 4, 1, shift=0.3), 6)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Measurement]]:
    judge = Judge(reference_of(REFERENCE, PHOTOS), INCEPTION, SETTINGS)
    return judge.values(SAMPLES, ["fidelity", "adm"])


def test_each_convention_has_its_metrics(found) -> None:
    assert set(found["fidelity"]) == {"fid", "kid", "is", "precision", "recall"}
    assert set(found["adm"]) == {"fid", "sfid", "is", "precision", "recall"}


def test_the_numbers_are_those_of_the_rooms_that_compute_them(found) -> None:
    theirs, ours = ({name: one.value for name, one in found[name].items()} for name in ("fidelity", "adm"))
    assert theirs["fid"] == ours["fid"] == fidelity.frechet_distance(SAMPLES, REFERENCE)
    assert theirs["kid"] == fidelity.kernel_distance(SAMPLES, REFERENCE, subsets=2, subset_size=20)
    assert theirs["is"] == fidelity.inception_score(SAMPLES)
    assert (theirs["precision"], theirs["recall"]) == fidelity.precision_recall(
        SAMPLES, REFERENCE, neighbourhood=3
    )
    assert ours["sfid"] == fidelity.frechet_distance(SAMPLES.spatial, REFERENCE.spatial)
    assert ours["is"] == adm.inception_score(SAMPLES.logits, split_size=25)
    assert (ours["precision"], ours["recall"]) == adm.precision_recall(SAMPLES.features, REFERENCE.features)


def test_every_number_says_what_it_is_of(found) -> None:
    for convention, values in found.items():
        for name, one in values.items():
            assert (one.metric, one.convention, one.network, one.count) == (name, convention, INCEPTION, 50)
            assert one.reference == (None if name == "is" else PHOTOS)
    assert found["adm"]["is"].how == "splits of 25, in order"


def test_other_networks_features_have_other_names() -> None:
    network = Network("digits", "classifier", "c" * 64)
    found = Judge(reference_of(REFERENCE, PHOTOS), network, SETTINGS).values(SAMPLES, ["fidelity", "adm"])
    assert set(found["fidelity"]) == {"fd[digits]", "kd[digits]", "is[digits]", "precision", "recall"}
    assert set(found["adm"]) == {"fd[digits]", "sfd[digits]", "is[digits]", "precision", "recall"}


def test_of_moments_alone_there_are_distances_alone() -> None:
    reference = Reference(PHOTOS, statistics(REFERENCE.features))
    found = Judge(reference, INCEPTION).values(SAMPLES, ["fidelity", "adm"])
    assert {name: set(values) for name, values in found.items()} == {
        "fidelity": {"fid", "is"},
        "adm": {"fid", "is"},
    }


def test_moments_may_be_of_more_images_than_are_at_hand() -> None:
    moments = Identity("published.npz", "d" * 64)
    reference = Reference(moments, statistics(REFERENCE.features), None, PHOTOS, REFERENCE)
    found = Judge(reference, INCEPTION).values(SAMPLES, ["adm"])["adm"]
    assert (found["fid"].reference, found["precision"].reference) == (moments, PHOTOS)


def test_adm_takes_no_more_than_its_number_of_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adm, "REFERENCES", 20)
    found = Judge(reference_of(REFERENCE, PHOTOS), INCEPTION).values(SAMPLES, ["adm"])["adm"]
    rows = [i * 60 // 20 for i in range(20)]
    expected = adm.precision_recall(SAMPLES.features, REFERENCE.features[rows])
    assert (found["precision"].value, found["recall"].value) == expected
    assert found["precision"].reference == PHOTOS.part(20) != PHOTOS
    assert found["fid"].reference == PHOTOS


def test_features_of_another_length_are_refused() -> None:
    judge = Judge(reference_of(REFERENCE, PHOTOS), INCEPTION)
    with pytest.raises(BadInput, match="photos: statistics of 4 features, but the samples have 5"):
        judge.distances(gaussian(50, 5, 1), ["adm"])
    other = replace(SAMPLES, spatial=Statistics(np.zeros(2), np.eye(2)))
    with pytest.raises(BadInput, match="statistics of 3 spatial features, but the samples have 2"):
        judge.distances(other, ["adm"])


FID = Measurement("fid", 2.25, "adm", INCEPTION, PHOTOS, 50)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reference": Identity("val", "e" * 64)}, "different references, photos bbbbbbbbbbbb and val eeee"),
        ({"reference": None}, "different references, photos bbbbbbbbbbbb and none"),
        (
            {"network": Network("inception", "inception")},
            "feature networks, .* inception .unknown.",
        ),
        ({"convention": "fidelity"}, "different conventions, adm and fidelity"),
        ({"metric": "sfid"}, "fid 2.25 and sfid 2.25 do not compare: of different metrics"),
        ({"how": "k = 5"}, "different settings"),
        ({"reference": Identity("photos", "b" * 63 + "c")}, "different references"),
    ],
)
def test_values_that_differ_in_what_they_are_do_not_compare(change, told) -> None:
    with pytest.raises(FingerprintMismatch, match=told) as error:
        check_comparable(FID, replace(FID, **change))
    assert "\n" not in str(error.value)


def test_networks_that_nobody_hashed_are_told_apart_by_their_names() -> None:
    one = replace(FID, metric="precision", network=Network("dino", "given"))
    check_comparable(one, replace(one, value=0.5))
    with pytest.raises(FingerprintMismatch, match=r"dino \(unknown\) and clip \(unknown\)"):
        check_comparable(one, replace(one, network=Network("clip", "given")))


def test_names_and_numbers_of_samples_do_not_matter() -> None:
    renamed = replace(FID, reference=replace(PHOTOS, name="the photos"), value=3.0, count=20)
    check_comparable(FID, renamed)


def test_a_measurement_is_read_as_it_was_told(found) -> None:
    for values in found.values():
        assert all(Measurement.read(one.facts()) == one for one in values.values())
