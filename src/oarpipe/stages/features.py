"""Measures the features of many sample sets and of their reference, in one process.

Every set lies in two files: `sets/NAME.npz` and, written after it, `sets/NAME.json` with what it was
measured from. A set whose json names the same samples and network is not measured again, so a change
in one arm measures that arm only.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oarpipe.base.files import read_json, remove, sha256, write_json
from oarpipe.base.log import log, progress
from oarpipe.base.receipts import Receipt, Stage, checked
from oarpipe.base.stopping import until_stopped
from oarpipe.config.datasets import Split
from oarpipe.config.outputs import EvaluationConfig
from oarpipe.config.recipe import FORMATS, Recipe
from oarpipe.errors import BadInput, IncompleteData

if TYPE_CHECKING:
    from oarpipe.data.sample_store import SampleStore
    from oarpipe.metrics.extractors import Extractor
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.reference import ReferenceFile

BATCH = 256  # images measured at once; no result depends on it
OTHER: dict[Split, Split] = {"train": "test", "test": "train"}


def features(
    recipe: Recipe[EvaluationConfig],
    *,
    samples: list[Path] | None = None,
    searches: list[Path] | None = None,
    dataset: Path | None = None,
    features: Path,
    out: Path,
) -> None:
    """Features of every sample set, of the best set of every search, and of the reference images.

    Makes `reference.*` (the recipe's split, or what its `reference` file holds), `other.*` (the other split,
    whose distance to the reference is the floor), `sets/` and `network.json`.
    """
    arms = [checked(path, "samples") for path in samples or []]
    bests = [checked(path, "searches") for path in searches or []]
    images = {} if dataset is None else {"dataset": checked(dataset, "datasets")}
    if bool(images) != (recipe.entry.dataset is not None):
        raise BadInput(
            f"evaluations.{recipe.name}: --dataset goes with the recipe's `dataset`; give both or neither"
        )
    network = checked(features, "features")
    file = named_file(recipe.entry)
    also = {} if images or file is None else {"reference": sha256(file)}
    sets_of = {"samples": arms, "searches": bests}
    stage = Stage(recipe, out, inputs={**sets_of, "features": network, **images}, also=also)
    if stage.is_done():
        return
    held = None
    if file is not None:
        from oarpipe.metrics.reference import ReferenceFile

        held = ReferenceFile(file)
        held.moments()  # checked before hours of measuring, and not after
    measuring = _Measuring(network, out)
    if images:
        measuring.images("reference", images["dataset"], recipe.entry.split)
        if recipe.entry.split in OTHER and recipe.entry.floor:
            other = OTHER[recipe.entry.split]
            measuring.images("other", images["dataset"], other, most=recipe.entry.floor)
    elif held is not None:
        measuring.file("reference", held)
    facts = [_facts_of_samples(arm) for arm in arms] + [_facts_of_best(best, arms) for best in bests]
    folders = [receipt.folder for receipt in [*arms, *bests]]
    sets = progress(list(zip(facts, folders, strict=True)), "features", unit="set")
    for one, folder in until_stopped(sets):
        measuring.samples(one, folder)
    measuring.sweep()

    from oarpipe.metrics.extractors import network_facts

    write_json(out / "network.json", network_facts(network))
    stage.finish("network.json", *measuring.made)


class _Measuring:
    """The folder of measured sets; the network is loaded when the first set needs it."""

    def __init__(self, network: Receipt, out: Path) -> None:
        self.made: list[str] = []
        self._network = network
        self._out = out
        self._extractor: Extractor | None = None

    def images(self, name: str, dataset: Receipt, split: Split, *, most: int | None = None) -> None:
        """Measures a split of a dataset, or as many of its images, evenly spread, as are wanted at `most`."""
        from oarpipe.data.images import open_images

        source = open_images(dataset)
        rows = source.index.rows(split)
        if most is not None:
            from oarpipe.metrics.features import evenly_spread

            rows = rows[evenly_spread(len(rows), most)]
        facts = {"dataset": dataset.name, "split": split, "count": len(rows), "digest": dataset.digest}

        def measure_all() -> tuple["FeatureSet", dict[str, Any]]:
            from oarpipe.metrics.features import measure

            batches = (source.load(rows[i : i + BATCH]) for i in range(0, len(rows), BATCH))
            return measure(self._load(), batches, labels=source.index.label[rows]), {}

        self._once(name, facts, measure_all)

    def file(self, name: str, held: "ReferenceFile") -> None:
        """Takes over a reference file's features, or measures its images; it may have moments alone."""
        from oarpipe.data.image_sets import open_image_set
        from oarpipe.metrics.extractors import network_facts
        from oarpipe.metrics.measurements import Network

        facts = {"dataset": held.file.name, "split": "all", "digest": held.digest}
        known = held.features(Network.read(network_facts(self._network)))
        has_images = known is None and "arr_0" in held.arrays
        images = open_image_set(held.file, digest=held.digest) if has_images else None
        if known is None and images is None:
            self.made.append(f"{name}.json")
            write_json(self._out / f"{name}.json", {"facts": {**facts, "count": 0}})
            return

        def measure_all() -> tuple["FeatureSet", dict[str, Any]]:
            from oarpipe.metrics.features import measure

            if images is None:
                assert known is not None
                return known, {"count": len(known)}
            return measure(self._load(), images.stream(BATCH), labels=images.labels), {"count": images.count}

        self._once(name, facts, measure_all)

    def samples(self, facts: dict[str, Any], folder: Path) -> None:
        """Measures a sample set, and its mean step distance."""

        def measure_all() -> tuple["FeatureSet", dict[str, Any]]:
            from oarpipe.data.sample_store import SampleStore

            return _measure_samples(self._load(), SampleStore.open(folder / "samples.zarr"))

        self._once(f"sets/{set_name(facts)}", facts, measure_all)

    def sweep(self) -> None:
        """Removes sets, a floor, and a reference's images that are no longer asked for."""
        kept = {self._out / file for file in self.made}
        for file in [*(self._out / "sets").rglob("*"), *self._out.glob("*.npz"), *self._out.glob("other.*")]:
            if file.is_file() and file not in kept:
                remove(file)

    def _once(
        self, name: str, facts: dict[str, Any], measure_all: Callable[[], tuple["FeatureSet", dict[str, Any]]]
    ) -> None:
        self.made += [f"{name}.npz", f"{name}.json"]
        file, described = self._out / f"{name}.npz", self._out / f"{name}.json"
        which: dict[str, Any] = {key: facts[key] for key in ("digest", "split", "count") if key in facts}
        origin = {**which, "network": self._network.digest, "format": FORMATS["evaluations"]}
        if _is_measured(file, described, origin):
            known = read_json(described)
            write_json(described, {**known, "facts": {**known["facts"], **facts}})
            log.info("features of %s are already there", name)
            return
        measured, more = measure_all()
        remove(described)
        measured.write(file)
        write_json(described, {"origin": origin, "sha256": sha256(file), "facts": {**facts, **more}})

    def _load(self) -> "Extractor":
        if self._extractor is None:
            from oarpipe.metrics.extractors import load_extractor

            self._extractor = load_extractor(self._network)
        return self._extractor


def named_file(entry: EvaluationConfig) -> Path | None:
    """The file of an evaluation's `reference` or `statistics`; `IncompleteData` if it is not there."""
    key = "reference" if entry.reference is not None else "statistics"
    named = entry.reference or entry.statistics
    if named is None:
        return None
    file = Path(named).expanduser()
    if not file.is_file():
        raise IncompleteData(f"{file}: no such file; mend `{key}`, or put the .npz there")
    return file


def set_name(facts: dict[str, Any]) -> str:
    """`any_random` for a sample set, `best/any_random` for the best setting of the search `best`."""
    name = str(facts["name"])
    return name if facts["search"] is None else f"{facts['search']}/{name}"


def _is_measured(file: Path, described: Path, origin: dict[str, Any]) -> bool:
    """Whether a set is there, whole, and measured from this."""
    if not (file.is_file() and described.is_file()):
        return False
    try:
        known = read_json(described)
        return bool(known["origin"] == origin and known["sha256"] == sha256(file))
    except (IncompleteData, KeyError, TypeError):
        return False


def _measure_samples(extractor: "Extractor", store: "SampleStore") -> tuple["FeatureSet", dict[str, Any]]:
    import numpy as np
    import torch

    from oarpipe.metrics.features import measure
    from oarpipe.metrics.paths import mean_step_distance

    distances: list[np.ndarray] = []

    def images() -> Iterator[np.ndarray]:
        for batch in store.batches(BATCH):
            orders = torch.from_numpy(batch["orders"].astype(np.int64))
            distances.append(mean_step_distance(orders, store.grid).numpy())
            yield batch["images"]

    measured = measure(extractor, images(), labels=store.read("labels"))
    distance = float(np.concatenate(distances).mean(dtype=np.float64))
    return measured, {"count": store.count, "mean_step_distance": distance}


def _facts_of_samples(receipt: Receipt) -> dict[str, Any]:
    entry = receipt.recipe
    return {
        "table": "samples",
        "name": receipt.name,
        "search": None,
        "model": entry["model"],
        "setting": {"temperature": entry["temperature"], "guidance": entry["guidance"]["scale"]},
        "digest": receipt.digest,
        "fingerprint": receipt.fingerprint,
    }


def _facts_of_best(receipt: Receipt, arms: list[Receipt]) -> dict[str, Any]:
    """The best setting of a searched arm; its model is that of the arm's plain set."""
    found = read_json(receipt.folder / "search.json")
    model = next((arm.recipe["model"] for arm in arms if arm.name == found["arm"]), None)
    best = found["best"]
    return {
        "table": "searches",
        "name": found["arm"],
        "search": receipt.name,
        "model": found.get("model", model),
        "setting": {"temperature": best["temperature"], "guidance": best["guidance"]},
        "digest": receipt.digest,
        "fingerprint": receipt.fingerprint,
    }
