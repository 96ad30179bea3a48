from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.files import read_json, sha256
from oarpipe.cli import main
from oarpipe.config.tables import validate_entry
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics import bootstrap
from oarpipe.metrics.adm import inception_score
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.fidelity import accuracy, frechet_distance, precision_recall
from oarpipe.metrics.statistics import statistics
from oarpipe.stages.evaluate import evaluate
from oarpipe.stages.features import features
from tests.stages.measuring import make_best, make_dataset, make_network, make_samples, recipe_of

ENTRY = {
    "dataset": "digits",
    "features": "digits",
    "split": "test",
    "kernel_subsets": 3,
    "kernel_subset_size": 500,
    "bootstrap": 7,
}


def run(root: Path, *, names: tuple[str, ...] = ("a", "b"), **changes: Any) -> dict[str, Any]:
    recipe = recipe_of("evaluations", "main", {**ENTRY, **changes})
    out = root / "evaluations" / "main"
    features(
        recipe,
        samples=[make_samples(root, name, seed=i).folder for i, name in enumerate(names)],
        searches=[make_best(root, name).folder for name in names[:1]],
        dataset=make_dataset(root).folder if recipe.entry.dataset else None,
        features=make_network(root).folder,
        out=out / "features",
    )
    evaluate(recipe, measured=out / "features", out=out)
    return read_json(out / "metrics.json")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("line")


@pytest.fixture(scope="module")
def found(root) -> dict[str, Any]:
    return run(root)


def measured(root: Path, name: str) -> FeatureSet:
    return FeatureSet.read(root / "evaluations" / "main" / "features" / f"{name}.npz")


def test_the_page_says_what_was_measured_with_what_against_what(found):
    assert set(found) == {
        *("features", "reference", "conventions", "bootstrap", "floor", "floor_values", "sets")
    }
    assert (found["features"]["name"], found["features"]["test_accuracy"]) == ("digits", 0.5)
    assert len(found["features"]["digest"]) == 64
    assert {k: found["reference"][k] for k in ("dataset", "split", "count")} == {
        "dataset": "digits",
        "split": "test",
        "count": 360,
    }
    assert found["reference"]["statistics"] is None
    assert set(found["sets"]) == {"a", "b", "best/a"}


def test_a_set_has_all_its_facts_and_metrics(found):
    one = found["sets"]["best/a"]
    assert set(one) == {
        *("table", "name", "search", "model", "count", "setting"),
        *("digest", "fingerprint", "metrics", "values", "replicates"),
    }
    assert set(one["metrics"]) == {
        *("fd[digits]", "kd[digits]", "is[digits]", "precision", "recall"),
        *("accuracy", "mean_step_distance"),
    }
    resampled = {metric: len(values) for metric, values in one["replicates"].items()}
    assert resampled == dict.fromkeys(set(one["metrics"]) - {"mean_step_distance"}, 7)


def test_the_metrics_are_those_of_the_measured_features(root, found):
    reference, one = measured(root, "reference"), measured(root, "sets/a")
    metrics = found["sets"]["a"]["metrics"]
    assert metrics["fd[digits]"] == pytest.approx(frechet_distance(one, reference))
    assert (metrics["precision"], metrics["recall"]) == precision_recall(one, reference, neighbourhood=3)
    assert metrics["accuracy"] == accuracy(one)


def test_the_floor_is_the_distance_of_the_other_split(root, found):
    expected = frechet_distance(measured(root, "other"), measured(root, "reference"))
    assert found["floor"]["fd[digits]"] == pytest.approx(expected)
    assert found["floor"]["fd[digits]"] < min(s["metrics"]["fd[digits]"] for s in found["sets"].values())


def test_replicates_are_paired_by_index(root, found):
    again = measured(root, "sets/a")
    np.testing.assert_array_equal(again.labels, measured(root, "sets/b").labels)
    names = found["sets"]
    assert names["a"]["replicates"] != names["b"]["replicates"]


def test_a_split_of_all_images_has_no_floor(tmp_path):
    assert run(tmp_path, split="all", bootstrap=0)["floor"] == {}


def test_without_bootstrap_there_are_no_replicates(tmp_path):
    assert run(tmp_path, bootstrap=0)["sets"]["a"]["replicates"] == {"fd[digits]": []}


def test_running_again_changes_nothing(root, found):
    file = root / "evaluations" / "main" / "metrics.json"
    before = file.stat().st_mtime_ns
    assert run(root) == found
    assert file.stat().st_mtime_ns == before


def test_an_evaluation_of_nothing_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no sample sets to evaluate"):
        run(tmp_path, names=())


def test_published_statistics_replace_the_references_in_the_frechet_distance_alone(
    root: Path, found: dict[str, Any], tmp_path: Path
) -> None:
    other = measured(root, "other").features.astype(np.float64)
    file = tmp_path / "published.npz"
    np.savez(file, mu=other.mean(axis=0), sigma=np.cov(other, rowvar=False))
    told = run(tmp_path, statistics=str(file))
    one, plain = (each["sets"]["a"] for each in (told, found))
    expected = frechet_distance(measured(root, "sets/a"), measured(root, "other"))
    assert one["metrics"]["fd[digits]"] == pytest.approx(expected, rel=1e-6)
    assert one["metrics"]["fd[digits]"] != pytest.approx(plain["metrics"]["fd[digits]"], rel=1e-3)
    assert min(one["replicates"]["fd[digits]"]) > expected / 2
    for same in ("precision", "recall", "is[digits]", "kd[digits]"):
        assert one["metrics"][same] == plain["metrics"][same]
    assert told["floor"]["fd[digits]"] == pytest.approx(0, abs=1e-4)  # the floor is the other split itself
    assert told["reference"]["statistics"] == {"file": "published.npz", "sha256": sha256(file)}


def test_every_number_stands_by_both_conventions_with_what_it_is(root, found):
    values = found["sets"]["a"]["values"]
    assert list(values) == ["adm", "fidelity"]  # sorted, as all of the file is
    assert set(values["fidelity"]) == set(found["sets"]["a"]["metrics"]) - {"mean_step_distance"}
    assert set(values["adm"]) == set(values["fidelity"]) - {"kd[digits]"}
    network = {"name": "digits", "kind": "classifier", "sha256": found["features"]["sha256"]}
    assert network["sha256"] == sha256(root / "features" / "digits" / "classifier.safetensors")
    for convention, numbers in [*values.items(), *found["floor_values"].items()]:
        for name, one in numbers.items():
            assert (one["metric"], one["convention"], one["network"]) == (name, convention, network)
            is_alone = name in ("is[digits]", "accuracy")
            assert (one["reference"] is None) == is_alone
            assert is_alone or (one["reference"]["name"], one["reference"]["count"]) == ("digits test", 360)
    metrics = found["sets"]["a"]["metrics"]
    assert all(one["value"] == metrics[name] for name, one in values["fidelity"].items())


def test_reports_show_the_first_convention(tmp_path):
    told = run(tmp_path, conventions=["adm"], bootstrap=0)
    one = told["sets"]["a"]
    assert set(one["values"]) == {"adm"}
    assert "kd[digits]" not in one["metrics"]
    assert one["metrics"]["is[digits]"] == inception_score(measured(tmp_path, "sets/a").logits)
    assert told["floor"] == {"fd[digits]": told["floor_values"]["adm"]["fd[digits]"]["value"]}


def test_a_reference_file_stands_for_a_dataset(root, found, tmp_path):
    file = tmp_path / "digits.npz"
    words = ["make-reference", root / "datasets" / "digits", "--features", root / "features" / "digits"]
    assert main([*map(str, words), "--split", "test", "--out", str(file)]) == 0
    told = run(tmp_path, dataset=None, split="train", reference=str(file), bootstrap=3)
    one, plain = (each["sets"]["a"] for each in (told, found))
    assert one["metrics"]["fd[digits]"] == pytest.approx(plain["metrics"]["fd[digits]"], rel=1e-6)
    for same in ("precision", "recall", "is[digits]", "accuracy"):
        assert one["metrics"][same] == plain["metrics"][same]
    assert told["floor"] == {}
    reference = one["values"]["adm"]["fd[digits]"]["reference"]
    assert reference == {"name": "digits.npz", "digest": sha256(file), "count": 360}
    assert told["reference"]["dataset"] == "digits.npz"


def test_a_reference_file_of_moments_alone_gives_distances_alone(found, root, tmp_path):
    file = tmp_path / "moments.npz"
    moments = statistics(measured(root, "reference").features)
    np.savez(file, mu=moments.mean, sigma=moments.covariance)
    told = run(tmp_path, dataset=None, reference=str(file), bootstrap=0)
    metrics = told["sets"]["a"]["metrics"]
    assert set(metrics) == {"fd[digits]", "is[digits]", "accuracy", "mean_step_distance"}
    assert metrics["fd[digits]"] == pytest.approx(found["sets"]["a"]["metrics"]["fd[digits]"], rel=1e-9)
    assert told["reference"]["statistics"] == {"file": "moments.npz", "sha256": sha256(file)}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": None}, "expected a reference: either `dataset` or `reference`"),
        ({"reference": "a.npz"}, "expected a reference: either `dataset` or `reference`"),
        ({"dataset": None, "reference": "a.npz", "statistics": "b.npz"}, "`reference` has its own"),
        ({"conventions": []}, "conventions"),
        ({"conventions": ["adm", "adm"]}, "one is named twice"),
    ],
)
def test_an_entry_has_one_reference_and_each_convention_once(changes, told):
    _, problems = validate_entry("evaluations", "main", {**ENTRY, **changes})
    assert told in problems[0]


def test_another_file_of_statistics_under_the_same_name_is_another_evaluation(tmp_path: Path) -> None:
    file = tmp_path / "published.npz"
    np.savez(file, mu=np.zeros(6), sigma=np.eye(6))
    before = run(tmp_path, statistics=str(file), bootstrap=0)
    np.savez(file, mu=np.ones(6), sigma=np.eye(6))
    after = run(tmp_path, statistics=str(file), bootstrap=0)
    assert before["sets"]["a"]["metrics"]["fd[digits]"] != after["sets"]["a"]["metrics"]["fd[digits]"]


def test_statistics_of_another_network_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "inception.npz"
    np.savez(file, mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(BadInput, match=r"inception.npz: statistics of 5 features, but .* 6"):
        run(tmp_path, statistics=str(file))


def test_missing_statistics_are_told_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"absent.npz: no such file; mend `statistics`"):
        run(tmp_path, statistics=str(tmp_path / "absent.npz"))
    assert not list(tmp_path.rglob("reference.npz"))


def test_a_killed_evaluation_resamples_no_set_twice(
    found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = bootstrap.FrechetBootstrap.__call__, []

    def counted(self: bootstrap.FrechetBootstrap, features: np.ndarray, what: str) -> list[float]:
        if what == "best/a" and len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(what)
        return whole(self, features, what)

    monkeypatch.setattr(bootstrap.FrechetBootstrap, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    calls.append("killed")
    assert run(tmp_path) == found
    assert calls == ["a", "b", "killed", "best/a"]
