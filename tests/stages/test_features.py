from pathlib import Path

import numpy as np
import pytest
import torch

from oarpipe.base.files import read_json, write_json
from oarpipe.data.images import open_images
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import FingerprintMismatch, IncompleteData
from oarpipe.metrics import features as metrics_features
from oarpipe.metrics.extractors import load_extractor
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.paths import mean_step_distance
from oarpipe.stages.features import features
from tests.stages.measuring import GRID, make_best, make_dataset, make_network, make_samples, recipe_of

ENTRY = {"dataset": "digits", "features": "digits", "split": "test"}


class Line:
    """An evaluation's ingredients, and how many sets were measured since the last look."""

    def __init__(self, root: Path) -> None:
        self.dataset, self.network = make_dataset(root), make_network(root)
        self.samples = [make_samples(root, "any_random"), make_samples(root, "any_raster", seed=1)]
        self.searches = [make_best(root, "any_random")]
        self.root, self.out = root, root / "evaluations" / "main" / "features"

    def run(self, **changes: int) -> None:
        features(
            recipe_of("evaluations", "main", {**ENTRY, **changes}),
            samples=[one.folder for one in self.samples],
            searches=[one.folder for one in self.searches],
            dataset=self.dataset.folder,
            features=self.network.folder,
            out=self.out,
        )


@pytest.fixture
def line(tmp_path) -> Line:
    return Line(tmp_path)


@pytest.fixture
def measurements(monkeypatch) -> list[int]:
    """The size of every set that is measured, in turn."""
    sizes: list[int] = []
    measure = metrics_features.measure

    def counting(*args, **options):
        measured = measure(*args, **options)
        sizes.append(len(measured))
        return measured

    monkeypatch.setattr(metrics_features, "measure", counting)
    return sizes


def test_every_set_is_measured_with_what_the_report_needs_to_know(line):
    line.run()
    sets = line.out / "sets"
    files = sorted(f.relative_to(sets).as_posix() for f in sets.rglob("*.npz"))
    assert files == ["any_random.npz", "any_raster.npz", "best/any_random.npz"]
    plain, best = (read_json(sets / f"{name}.json")["facts"] for name in ("any_random", "best/any_random"))
    orders = SampleStore.open(line.samples[0].folder / "samples.zarr").read("orders").astype(np.int64)
    assert plain == {
        "table": "samples",
        "name": "any_random",
        "search": None,
        "model": "any_random_model",
        "count": 30,
        "setting": {"temperature": 1.0, "guidance": 1.0},
        "digest": line.samples[0].digest,
        "fingerprint": line.samples[0].fingerprint,
        "mean_step_distance": pytest.approx(float(mean_step_distance(torch.from_numpy(orders), GRID).mean())),
    }
    assert (best["search"], best["count"], best["model"]) == ("best", 30, "any_random_model")
    assert best["setting"] == {"temperature": 0.8, "guidance": 1.0}


def test_the_features_are_those_of_the_images(line):
    line.run()
    extractor, store = load_extractor(line.network), SampleStore.open(line.samples[1].folder / "samples.zarr")
    expected = extractor(torch.from_numpy(store.read("images")).permute(0, 3, 1, 2).contiguous())
    found = FeatureSet.read(line.out / "sets" / "any_raster.npz")
    np.testing.assert_allclose(found.features, expected.features.numpy(), atol=1e-5)
    np.testing.assert_array_equal(found.labels, store.read("labels"))


def test_the_reference_is_the_recipes_split_and_the_floor_the_other(line):
    line.run()
    index = open_images(line.dataset).index
    for name, split in (("reference", "test"), ("other", "train")):
        measured = FeatureSet.read(line.out / f"{name}.npz")
        assert measured.labels.tolist() == index.label[index.rows(split)].tolist()
        assert read_json(line.out / f"{name}.json")["facts"]["split"] == split


def test_a_floor_of_fewer_images_takes_them_evenly_and_one_of_none_is_not_measured(line, measurements):
    line.run(floor=100)
    index = open_images(line.dataset).index
    rows = index.rows("train")
    expected = index.label[rows[[i * len(rows) // 100 for i in range(100)]]]
    assert FeatureSet.read(line.out / "other.npz").labels.tolist() == expected.tolist()
    measurements.clear()
    line.run(floor=200)
    assert measurements == [200]
    line.run(floor=0)
    assert not list(line.out.glob("other.*"))


def test_running_twice_measures_nothing(line, measurements):
    line.run()
    assert len(measurements) == 5
    line.run()
    assert len(measurements) == 5


def test_a_changed_set_is_measured_alone_and_the_receipt_may_be_gone(line, measurements):
    line.run()
    measurements.clear()
    line.samples[1] = make_samples(line.root, "any_raster", seed=2, count=20)
    (line.out / "receipt.json").unlink()  # Snakemake deletes the output of a rule that runs again
    line.run()
    assert measurements == [20]


def test_another_network_measures_everything_anew(line, measurements):
    line.run()
    measurements.clear()
    line.network = make_network(line.root, seed=1)
    line.run()
    assert len(measurements) == 5


def test_a_damaged_set_is_measured_anew(line, measurements):
    line.run()
    measurements.clear()
    file = line.out / "sets" / "any_random.npz"
    file.write_bytes(file.read_bytes()[:-1])
    line.run()
    assert measurements == [30]


def test_a_set_that_an_older_oarpipe_measured_is_measured_anew(line, measurements):
    line.run()
    measurements.clear()
    described = line.out / "sets" / "any_random.json"
    told = read_json(described)
    write_json(described, {**told, "origin": {**told["origin"], "format": 1}})
    (line.out / "receipt.json").unlink()
    (line.out / ".done.json").unlink()
    line.run()
    assert measurements == [30]


def test_a_set_that_is_no_longer_asked_for_is_removed(line):
    line.run()
    line.searches = []
    line.run()
    names = {file.name for file in (line.out / "sets").rglob("*") if file.is_file()}
    assert names == {"any_random.npz", "any_random.json", "any_raster.npz", "any_raster.json"}


def test_arms_of_one_search_are_told_apart(line):
    line.searches.append(make_best(line.root, "any_raster", seed=5))
    line.run()
    assert (line.out / "sets" / "best" / "any_raster.npz").is_file()
    changed = make_best(line.root, "any_random", seed=6)
    assert changed.digest != line.searches[0].digest
    line.run()
    facts = read_json(line.out / "sets" / "best" / "any_random.json")["facts"]
    assert facts["digest"] == changed.digest


def test_a_damaged_sample_store_is_an_error_and_named(line):
    damaged = next(
        f
        for f in (line.samples[0].folder / "samples.zarr").rglob("*")
        if "images/c" in str(f) and f.is_file()
    )
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(IncompleteData, match="any_random"):
        line.run()


def test_an_ingredient_of_another_table_is_refused(line):
    line.samples[0] = line.dataset
    with pytest.raises(FingerprintMismatch, match="expected one of 'samples'"):
        line.run()
