"""Turns measured features into the numbers of the table: distances, scores, and their resamplings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.files import Stage, checked, read_json, read_sealed, sha256, write_json, write_sealed
from oarpipe.base.log import progress
from oarpipe.base.stopping import until_stopped
from oarpipe.config.outputs import EvaluationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput
from oarpipe.stages.features import set_name, statistics_file

if TYPE_CHECKING:
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.statistics import Statistics


def evaluate(recipe: Recipe[EvaluationConfig], *, measured: Path, out: Path) -> None:
    """Writes `metrics.json`: each set's distances to the reference, and the other split's as the floor.

    Replicate b of every set uses the same resampled indices, so that differences are paired. A set
    that was finished before a kill is not computed again.
    """
    receipt = checked(measured, "evaluations")
    file = statistics_file(recipe.entry)
    published = None if file is None else {"file": file.name, "sha256": sha256(file)}
    stage = Stage(recipe, out, inputs={"measured": receipt}, also={"statistics": published})
    if stage.is_done():
        return
    write_json(out / "metrics.json", _evaluate(stage, receipt.folder, published))
    stage.finish("metrics.json")


def _evaluate(stage: Stage, folder: Path, published: dict[str, str] | None) -> dict[str, Any]:
    from oarpipe.metrics.bootstrap import FrechetBootstrap
    from oarpipe.metrics.extractors import metric_name
    from oarpipe.metrics.features import FeatureSet

    entry: EvaluationConfig = stage.recipe.entry
    network = read_json(folder / "network.json")
    described = [(file, read_json(file)["facts"]) for file in sorted((folder / "sets").rglob("*.json"))]
    if not described:
        raise BadInput(f"{folder}: no sample sets to evaluate; the entry's `samples:` names none")
    reference = _Reference(FeatureSet.read(folder / "reference.npz"), entry, network)
    bootstrap = FrechetBootstrap(reference.statistics, replicates=entry.bootstrap, seed=stage.recipe.seed)
    distance = metric_name("fd", network["name"], network["kind"])
    sets = {}
    for file, facts in until_stopped(progress(described, "evaluate", unit="set")):
        name = set_name(facts)
        done = stage.state / "sets" / f"{name}.json"
        if not done.is_file():
            one = FeatureSet.read(file.with_suffix(".npz"))
            metrics, replicates = reference.metrics(one), bootstrap(one.features, name)
            write_sealed(done, {"metrics": metrics, "replicates": {distance: replicates}})
        found = read_sealed(done)
        found["metrics"]["mean_step_distance"] = facts.pop("mean_step_distance")
        sets[name] = {**facts, **found}
    other = folder / "other.npz"
    return {
        "features": {key: network[key] for key in ("name", "digest", "test_accuracy")},
        "reference": {**read_json(folder / "reference.json")["facts"], "statistics": published},
        "bootstrap": entry.bootstrap,
        "floor": reference.distances(FeatureSet.read(other)) if other.is_file() else {},
        "sets": sets,
    }


class _Reference:
    """The reference, images and their statistics (or published ones), and the metrics of sets against it."""

    def __init__(self, measured: "FeatureSet", entry: EvaluationConfig, network: dict[str, Any]) -> None:
        from oarpipe.metrics.extractors import metric_name

        self.measured = measured
        self.statistics = _statistics(measured, entry)
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


def _statistics(measured: "FeatureSet", entry: EvaluationConfig) -> "Statistics":
    """What the Fréchet distance is taken to: the published statistics, or those of the reference images."""
    from oarpipe.metrics.statistics import read_statistics, statistics

    file = statistics_file(entry)
    if file is None:
        return statistics(measured.features)
    published = read_statistics(file)
    dimensions = measured.features.shape[1]
    if len(published.mean) != dimensions:
        raise BadInput(
            f"{file}: statistics of {len(published.mean)} features, but the network measures "
            f"{dimensions}; they come from different networks, so leave `statistics` out or change `features`"
        )
    return published
