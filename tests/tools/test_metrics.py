"""`oarpipe metrics` on activations, and on images wherever they lie; `oarpipe make-reference`."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oarpipe.base.files import sha256
from oarpipe.base.identity import Identity
from oarpipe.base.receipts import read_receipt
from oarpipe.cli import main
from oarpipe.metrics import adm, fidelity
from oarpipe.metrics.extractors import load_extractor
from oarpipe.metrics.features import FeatureSet, measure
from oarpipe.metrics.statistics import statistics
from tests.metrics.conftest import gaussian
from tests.stages.measuring import make_dataset, make_network, make_samples

RESOLUTION = 12


def told(capsys: pytest.CaptureFixture[str], *words: Any) -> dict[str, Any]:
    """What `oarpipe metrics … --json` prints."""
    assert main(["metrics", *map(str, words), "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    """The one line with which it refuses."""
    assert main(list(map(str, words))) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, Path]:
    """Activations in files."""
    reference, samples = gaussian(60, 4, 0), gaussian(50, 4, 1, shift=0.2)
    logits = samples.logits.astype(np.float64)
    arrays = {
        "R": reference.features,
        "S": samples.features.astype(np.float64),
        "L": logits,
        "P": np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True),
        "Rs": gaussian(60, 2 * 3 * 7, 2).features.reshape(60, 2, 3, 7),
        "Ss": gaussian(50, 2 * 3 * 7, 3).features,
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return {name: tmp_path / f"{name}.npy" for name in arrays}


def test_activations_are_measured_as_adm_does(bare, capsys) -> None:
    found = told(
        capsys, "--convention", "adm", "--reference-features", bare["R"], "--sample-features", bare["S"],
        "--reference-spatial", bare["Rs"], "--sample-spatial", bare["Ss"],
        "--sample-logits", bare["L"], "--split-size", 20,
    )  # fmt: skip
    assert set(found) == {"fid", "sfid", "inception_score", "precision", "recall"}
    reference, samples = (np.load(bare[name]).astype(np.float32) for name in "RS")
    spatial = [np.load(bare[name]).reshape(-1, 42) for name in ("Ss", "Rs")]
    distance = fidelity.frechet_distance(statistics(samples), statistics(reference))
    assert found["fid"]["value"] == pytest.approx(distance, rel=1e-12)
    distance = fidelity.frechet_distance(*map(statistics, spatial))
    assert found["sfid"]["value"] == pytest.approx(distance, rel=1e-12)
    shares = adm.precision_recall(samples, reference)
    assert (found["precision"]["value"], found["recall"]["value"]) == shares
    score = adm.inception_score(np.load(bare["L"]), split_size=20)
    assert found["inception_score"]["value"] == pytest.approx(score, rel=1e-6)


def test_every_number_tells_where_it_comes_from(bare, capsys) -> None:
    found = told(
        capsys, "--convention", "adm", "--reference-features", bare["R"], "--sample-features", bare["S"]
    )
    assert set(found) == {"fid", "precision", "recall"}
    assert found["fid"] == {
        "metric": "fid",
        "value": found["fid"]["value"],
        "convention": "adm",
        "network": {"name": "inception", "kind": "inception", "sha256": None},
        "reference": {"name": "R.npy", "digest": sha256(bare["R"]), "count": 60},
        "count": 50,
        "how": "",
    }


def test_probabilities_do_for_logits(bare, capsys) -> None:
    words = ["--convention", "adm", "--reference-features", bare["R"], "--sample-features", bare["S"]]
    one = told(capsys, *words, "--sample-logits", bare["L"])
    other = told(capsys, *words, "--sample-probabilities", bare["P"])
    assert one["inception_score"]["value"] == pytest.approx(other["inception_score"]["value"], rel=1e-5)


def test_activations_of_another_network_are_not_called_fid(bare, capsys) -> None:
    words = ["--reference-features", bare["R"], "--sample-features", bare["S"], "--network", "dino"]
    found = told(capsys, "--convention", "fidelity", *words)
    assert set(found) == {"fd[dino]", "kd[dino]", "precision", "recall"}


def test_people_are_told_in_lines(bare, capsys) -> None:
    words = ["--convention", "adm", "--reference-features", bare["R"], "--sample-features", bare["S"]]
    assert main(["metrics", *map(str, words)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("fid ")
    assert first.endswith("adm, inception (as you say), 50 samples against R.npy (60 images)")


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("S", np.zeros((50, 5)), "statistics of 4 features, but the samples have 5"),
        ("S", np.full((50, 4), np.nan), "holds values that are not finite"),
        ("S", np.zeros(50), "holds float64 [50], expected numbers [n, D]"),
        ("L", np.zeros((9, 3)), "50 samples, but logits or probabilities of 9"),
        ("P", np.ones((50, 3)), "to sum to 1"),
        ("Ss", np.zeros((50, 7, 2, 3)), "has the channels last"),
        ("Ss", np.zeros((9, 42)), "spatial features of 9 images, but pooled ones of 50"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(name, array, reason, bare, capsys) -> None:
    np.save(bare[name], array)
    flags = {"S": "--sample-features", "L": "--sample-logits", "P": "--sample-probabilities"}
    words = ["--reference-features", bare["R"], "--reference-spatial", bare["Rs"], "--sample-spatial"]
    words += [bare["Ss"], "--sample-features", bare["S"]]
    if name in "LP":
        words += [flags[name], bare[name]]
    assert reason in refused(capsys, "metrics", "--convention", "adm", *words)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--sample-features", "S.npy"], "give --reference PATH or --reference-features FILE"),
        (["--reference-features", "{R}"], "give --samples PATH or --sample-features FILE"),
        (
            ["--reference", "{R}", "--sample-features", "{S}"],
            "the network's results folder with --features",
        ),
        (["--reference-features", "none.npy", "--sample-features", "{S}"], "none.npy: no such file"),
        (
            ["--reference-features", "{R}", "--sample-features", "{S}", "--split-size", "0"],
            "least 1, got 0",
        ),
    ],
)
def test_what_is_lacking_is_told_in_one_line(words, reason, bare, capsys) -> None:
    words = [word.format(**bare) for word in words]
    assert reason in refused(capsys, "metrics", "--convention", "adm", *words)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder: digits, a network that measures, samples."""
    root = tmp_path_factory.mktemp("line")
    make_dataset(root)
    make_network(root)
    make_samples(root, "a")
    return root


def images_in_a_folder(folder: Path, count: int = 20, side: int = RESOLUTION) -> np.ndarray:
    """PNGs in two folders, whose sorted paths are their order."""
    images = np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    for i, image in enumerate(images):
        file = folder / f"class-{2 * i // count}" / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    return images


def test_a_reference_holds_all_moments_and_some_images_as_adms_do(line, tmp_path) -> None:
    images = images_in_a_folder(tmp_path / "photos")
    network, out = line / "features" / "digits", tmp_path / "photos.npz"
    words = ["make-reference", tmp_path / "photos", "--features", network, "--out", out, "--keep", 7]
    assert main(list(map(str, words))) == 0
    with np.load(out, allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["arr_0"], images[[i * 20 // 7 for i in range(7)]])
        assert int(arrays["count"]) == 20
        mean, covariance = arrays["mu"], arrays["sigma"]
    measured = measure(load_extractor(read_receipt(network)), [images])
    np.testing.assert_allclose(mean, measured.features.astype(np.float64).mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(covariance, np.cov(measured.features, rowvar=False), atol=1e-6)
    kept = FeatureSet.read(out)
    np.testing.assert_allclose(kept.features, measured.features[[i * 20 // 7 for i in range(7)]], atol=1e-6)


def test_a_reference_is_the_same_file_each_time(line, tmp_path) -> None:
    images_in_a_folder(tmp_path / "photos")
    for name in ("one.npz", "two.npz"):
        words = ["make-reference", tmp_path / "photos", "--features", line / "features" / "digits"]
        assert main(list(map(str, [*words, "--out", tmp_path / name]))) == 0
    assert sha256(tmp_path / "one.npz") == sha256(tmp_path / "two.npz")


def test_any_images_may_be_the_reference_and_the_samples(line, tmp_path, capsys) -> None:
    """The same images in a folder, in an .npz, as a reference file: the same distance."""
    images = images_in_a_folder(tmp_path / "photos")
    np.savez(tmp_path / "plain.npz", images)
    network = ["--features", line / "features" / "digits"]
    words = ["make-reference", tmp_path / "photos", *network, "--out", tmp_path / "made.npz"]
    assert main(list(map(str, words))) == 0
    capsys.readouterr()
    common = ["--convention", "adm", *network, "--samples", line / "samples" / "a"]
    found = [
        told(capsys, *common, "--reference", tmp_path / name) for name in ("photos", "plain.npz", "made.npz")
    ]
    for one in found:
        assert set(one) == {"fd[digits]", "is[digits]", "precision", "recall"}
        assert one["fd[digits]"]["value"] == pytest.approx(found[0]["fd[digits]"]["value"], rel=1e-6)
        assert one["precision"]["value"] == found[0]["precision"]["value"]
        assert one["fd[digits]"]["reference"]["count"] == 20
    assert len({one["fd[digits]"]["reference"]["digest"] for one in found}) == 3
    whole = told(capsys, *common, "--reference", line / "datasets" / "digits", "--split", "test")
    assert whole["precision"]["reference"]["count"] == 360
    assert whole["precision"]["reference"]["name"] == "digits test"
    digest = read_receipt(line / "datasets" / "digits").digest
    assert whole["fd[digits]"]["reference"] == asdict(Identity.of_split("digits", digest, "test", 360))


def test_features_that_were_kept_are_a_reference_and_samples(line, tmp_path, capsys) -> None:
    extractor = load_extractor(read_receipt(line / "features" / "digits"))
    images = np.random.default_rng(4).integers(0, 256, (40, RESOLUTION, RESOLUTION, 3), dtype=np.uint8)
    sets = {"reference": measure(extractor, [images[:25]]), "samples": measure(extractor, [images[25:]])}
    for name, one in sets.items():
        one.write(tmp_path / f"{name}.npz")
    words = [word for name in sets for word in (f"--{name}", tmp_path / f"{name}.npz")]
    found = told(capsys, "--convention", "adm", "--features", line / "features" / "digits", *words)
    distance = fidelity.frechet_distance(sets["samples"], sets["reference"])
    assert found["fd[digits]"]["value"] == pytest.approx(distance, rel=1e-9)
    assert (found["recall"]["count"], found["recall"]["reference"]["count"]) == (15, 25)
    refusal = refused(capsys, "metrics", "--convention", "adm", *words)
    assert "not by inception (unknown); measure both with one network" in refusal


def test_published_moments_are_a_reference_without_precision(line, tmp_path, capsys) -> None:
    other = gaussian(100, 6, 0).features.astype(np.float64)
    np.savez(tmp_path / "moments.npz", mu=other.mean(axis=0), sigma=np.cov(other, rowvar=False))
    network = ["--features", line / "features" / "digits"]
    common = ["--convention", "fidelity", *network, "--samples", line / "samples" / "a"]
    found = told(capsys, *common, "--reference", tmp_path / "moments.npz")
    assert set(found) == {"fd[digits]", "is[digits]"}
    assert found["fd[digits]"]["reference"]["count"] is None


def test_features_of_another_network_are_refused(line, tmp_path, capsys) -> None:
    images_in_a_folder(tmp_path / "photos")
    words = ["make-reference", tmp_path / "photos", "--features", line / "features" / "digits"]
    assert main(list(map(str, [*words, "--out", tmp_path / "made.npz"]))) == 0
    capsys.readouterr()
    other = make_network(tmp_path, seed=1).folder
    words = ["--features", other, "--samples", line / "samples" / "a", "--reference", tmp_path / "made.npz"]
    assert "measure both with one network" in refused(capsys, "metrics", "--convention", "adm", *words)


def test_images_of_different_sizes_ask_for_a_resolution(line, tmp_path, capsys) -> None:
    images_in_a_folder(tmp_path / "photos")
    Image.new("RGB", (30, 20)).save(tmp_path / "photos" / "class-1" / "zz.png")
    words = ["make-reference", tmp_path / "photos", "--features", line / "features" / "digits"]
    words += ["--out", tmp_path / "made.npz"]
    found = refused(capsys, *words)
    assert "zz.png: 30x20 pixels, others have 12x12; give --resolution" in found
    assert not list(tmp_path.glob("made.npz*"))
    assert main(list(map(str, [*words, "--resolution", RESOLUTION]))) == 0


def test_a_reference_file_is_hashed_once(line, tmp_path, capsys, monkeypatch) -> None:
    """One with moments and images, as ADM's, whose images are measured besides."""
    other = gaussian(100, 6, 0).features.astype(np.float64)
    images = images_in_a_folder(tmp_path / "photos")
    file = tmp_path / "adm.npz"
    np.savez(file, arr_0=images, mu=other.mean(axis=0), sigma=np.cov(other, rowvar=False))
    hashed, original = [], hashlib.file_digest

    def count(handle, name):
        hashed.append(Path(handle.name))
        return original(handle, name)

    monkeypatch.setattr(hashlib, "file_digest", count)
    words = ["--features", line / "features" / "digits", "--samples", line / "samples" / "a"]
    found = told(capsys, "--convention", "adm", *words, "--reference", file)
    assert found["fd[digits]"]["reference"]["digest"] == sha256(file)
    assert found["precision"]["reference"]["count"] == 20
    assert hashed.count(file) == 2  # and once here
