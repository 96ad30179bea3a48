"""Turns measured features into the numbers of the table: distances, scores, and their resamplings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from oarpipe.base.files import read_json, read_sealed, sha256, write_json, write_sealed
from oarpipe.base.log import progress
from oarpipe.base.receipts import Stage, checked
from oarpipe.base.stopping import until_stopped
from oarpipe.config.outputs import EvaluationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput
from oarpipe.stages.features import named_file, set_name

if TYPE_CHECKING:
    from oarpipe.metrics.conventions import Judge, Measurements, Reference
    from oarpipe.metrics.features import FeatureSet


def evaluate(recipe: Recipe[EvaluationConfig], *, measured: Path, out: Path) -> None:
    """Writes `metrics.json`: each set's metrics by every convention, and the other split's as the floor.

    Replicate b of every set uses the same resampled indices, so that differences are paired. A set
    that was finished before a kill is not computed again.
    """
    receipt = checked(measured, "evaluations")
    file = named_file(recipe.entry)
    also = None if file is None else {"statistics": {"file": file.name, "sha256": sha256(file)}}
    stage = Stage(recipe, out, inputs={"measured": receipt}, also=also)
    if stage.is_done():
        return
    write_json(out / "metrics.json", _evaluate(stage, receipt.folder))
    stage.finish("metrics.json")


def _evaluate(stage: Stage, folder: Path) -> dict[str, Any]:
    from oarpipe.metrics.bootstrap import FrechetBootstrap
    from oarpipe.metrics.conventions import Judge, Settings
    from oarpipe.metrics.extractors import Short
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.measurements import Network
    from oarpipe.metrics.score_bootstrap import SCORES, ScoreBootstrap

    entry: EvaluationConfig = stage.recipe.entry
    network = Network.read(read_json(folder / "network.json"))
    described = [(file, read_json(file)["facts"]) for file in sorted((folder / "sets").rglob("*.json"))]
    if not described:
        raise BadInput(f"{folder}: no sample sets to evaluate; the entry's `samples:` names none")
    reference = _reference(folder, entry)
    settings = Settings(entry.kernel_subsets, entry.kernel_subset_size, entry.neighbourhood)
    judge = Judge(reference, network, settings)
    resampling: dict[str, Any] = {"replicates": entry.bootstrap, "seed": stage.recipe.seed}
    frechet = FrechetBootstrap(reference.pool, **resampling)
    scores = ScoreBootstrap(reference.images, neighbourhood=entry.neighbourhood, **resampling)
    names: dict[str, str] = {short: judge.name(short) for short in get_args(Short)}
    sets = {}
    for file, facts in until_stopped(progress(described, "evaluate", unit="set")):
        name = set_name(facts)
        done = stage.state / "sets" / f"{name}.json"
        if not done.is_file():
            one = FeatureSet.read(file.with_suffix(".npz"))
            found = _metrics_of(judge, one, entry)
            wanted = [short for short in SCORES if names.get(short, short) in found["metrics"]]
            again = {"fd": frechet(one.features, name), **scores(one, wanted)}
            replicates = {names.get(short, short): drawn for short, drawn in again.items()}
            write_sealed(done, {**found, "replicates": replicates})
        found = read_sealed(done)
        found["metrics"]["mean_step_distance"] = facts.pop("mean_step_distance")
        sets[name] = {**facts, **found}
    other = folder / "other.npz"
    floor: dict[str, Any] = {"metrics": {}, "values": {}}
    if other.is_file():
        floor = _told(judge.distances(FeatureSet.read(other), entry.conventions), entry)
    return {
        "features": read_json(folder / "network.json"),
        "reference": {**read_json(folder / "reference.json")["facts"], "statistics": _published(reference)},
        "conventions": entry.conventions,
        "bootstrap": entry.bootstrap,
        "floor": floor["metrics"],
        "floor_values": floor["values"],
        "sets": sets,
    }


def _reference(folder: Path, entry: EvaluationConfig) -> "Reference":
    """The images that were measured, and their moments, or those of the file that the recipe names."""
    from oarpipe.base.identity import Identity
    from oarpipe.metrics.conventions import reference_of
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.reference import ReferenceFile

    facts = read_json(folder / "reference.json")["facts"]
    measured = folder / "reference.npz"
    images = FeatureSet.read(measured) if measured.is_file() else None
    file = named_file(entry)
    if entry.dataset is not None:
        identity = Identity.of_split(**facts)
    else:
        assert file is not None, "an evaluation has a dataset or a reference"
        identity = Identity(file.name, facts["digest"], facts["count"])
    if file is not None:
        return ReferenceFile(file).reference(images, identity)
    assert images is not None, f"{folder}: a dataset was measured, but left no features"
    return reference_of(images, identity)


def _published(reference: "Reference") -> dict[str, str] | None:
    """The file whose moments stand for those of the images, if one does."""
    if reference.moments_of == reference.images_of:
        return None
    return {"file": reference.moments_of.name, "sha256": reference.moments_of.digest}


def _metrics_of(judge: "Judge", one: "FeatureSet", entry: EvaluationConfig) -> dict[str, Any]:
    """Everything that features tell; accuracy only where the network knows the dataset's classes."""
    from oarpipe.metrics.fidelity import accuracy
    from oarpipe.metrics.measurements import Measurement

    found = judge.values(one, entry.conventions)
    if judge.network.kind == "classifier":
        share = accuracy(one)
        for convention, values in found.items():
            values["accuracy"] = Measurement("accuracy", share, convention, judge.network, None, len(one))
    return _told(found, entry)


def _told(found: "Measurements", entry: EvaluationConfig) -> dict[str, Any]:
    """`metrics`, the plain numbers by the first convention, and `values`, all of them with what they are."""
    return {
        "metrics": {name: value.value for name, value in found[entry.conventions[0]].items()},
        "values": {
            convention: {name: value.facts() for name, value in values.items()}
            for convention, values in found.items()
        },
    }
