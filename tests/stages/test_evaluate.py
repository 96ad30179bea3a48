from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.files import read_json
from oarpipe.errors import BadInput
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.fidelity import accuracy, frechet_distance, precision_recall
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
        dataset=make_dataset(root).folder,
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
    assert set(found) == {"features", "reference", "bootstrap", "floor", "sets"}
    assert (found["features"]["name"], found["features"]["test_accuracy"]) == ("digits", 0.5)
    assert len(found["features"]["digest"]) == 64
    assert {k: found["reference"][k] for k in ("dataset", "split", "count")} == {
        "dataset": "digits",
        "split": "test",
        "count": 360,
    }
    assert set(found["sets"]) == {"a", "b", "best/a"}


def test_a_set_has_all_its_facts_and_metrics(found):
    one = found["sets"]["best/a"]
    assert set(one) == {
        *("table", "name", "search", "model", "count", "setting"),
        *("digest", "fingerprint", "metrics", "replicates"),
    }
    assert set(one["metrics"]) == {
        *("fd[digits]", "kd[digits]", "is[digits]", "precision", "recall"),
        *("accuracy", "mean_step_distance"),
    }
    assert len(one["replicates"]["fd[digits]"]) == 7


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
