"""Turns measured features into the numbers of the table: distances, scores, and their resamplings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.files import Stage, checked, read_json, write_json
from oarpipe.base.log import progress
from oarpipe.config.outputs import EvaluationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.statistics import Statistics


def evaluate(recipe: Recipe[EvaluationConfig], *, measured: Path, out: Path) -> None:
    """Writes `metrics.json`: each set's distances to the reference, and the other split's as the floor.

    Replicate b of every set uses the same resampled indices, so that differences are paired.
    """
    receipt = checked(measured, "evaluations")
    stage = Stage(recipe, out, inputs={"measured": receipt})
    if stage.is_done():
        return
    write_json(out / "metrics.json", _evaluate(recipe, receipt.folder))
    stage.finish("metrics.json")


def _evaluate(recipe: Recipe[EvaluationConfig], folder: Path) -> dict[str, Any]:
    from oarpipe.metrics.bootstrap import frechet_replicates
    from oarpipe.metrics.extractors import metric_name
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.stages.features import set_name

    network = read_json(folder / "network.json")
    reference = _Reference(FeatureSet.read(folder / "reference.npz"), recipe.entry, network)
    described = [(file, read_json(file)["facts"]) for file in sorted((folder / "sets").rglob("*.json"))]
    if not described:
        raise BadInput(f"{folder}: no sample sets to evaluate; the entry's `samples:` names none")
    measured = {set_name(facts): FeatureSet.read(file.with_suffix(".npz")) for file, facts in described}
    replicates = frechet_replicates(
        measured, reference.statistics, replicates=recipe.entry.bootstrap, seed=recipe.seed
    )
    distance = metric_name("fd", network["name"], network["kind"])
    sets = {}
    for _, facts in progress(described, "evaluate", unit="set"):
        name = set_name(facts)
        metrics = reference.metrics(measured[name])
        metrics["mean_step_distance"] = facts.pop("mean_step_distance")
        sets[name] = {**facts, "metrics": metrics, "replicates": {distance: replicates[name]}}
    other = folder / "other.npz"
    return {
        "features": {key: network[key] for key in ("name", "digest", "test_accuracy")},
        "reference": read_json(folder / "reference.json")["facts"],
        "bootstrap": recipe.entry.bootstrap,
        "floor": reference.distances(FeatureSet.read(other)) if other.is_file() else {},
        "sets": sets,
    }


class _Reference:
    """The reference images, and the metrics of other sets against them."""

    def __init__(self, measured: "FeatureSet", entry: EvaluationConfig, network: dict[str, Any]) -> None:
        from oarpipe.metrics.extractors import metric_name
        from oarpipe.metrics.statistics import statistics

        self.measured = measured
        self.statistics: Statistics = statistics(measured.features)
        self._entry = entry
        self._knows_classes = network["kind"] == "classifier"
        self._names = {
            short: metric_name(short, network["name"], network["kind"]) for short in ("fd", "kd", "is")
        }

    def distances(self, one: "FeatureSet") -> dict[str, float]:
        """Fréchet and kernel distance."""
        from oarpipe.metrics.fidelity import frechet_distance, kernel_distance

        kernel = kernel_distance(
            one,
            self.measured,
            subsets=self._entry.kernel_subsets,
            subset_size=self._entry.kernel_subset_size,
        )
        return {
            self._names["fd"]: frechet_distance(one, self.statistics),
            self._names["kd"]: kernel,
        }

    def metrics(self, one: "FeatureSet") -> dict[str, float]:
        """Everything that features tell; accuracy only where the network knows the dataset's classes."""
        from oarpipe.metrics.fidelity import accuracy, inception_score, precision_recall

        precision, recall = precision_recall(one, self.measured, neighbourhood=self._entry.neighbourhood)
        found = {
            **self.distances(one),
            self._names["is"]: inception_score(one),
            "precision": precision,
            "recall": recall,
        }
        if self._knows_classes:
            found["accuracy"] = accuracy(one)
        return found
