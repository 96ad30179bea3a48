import io

import pytest
import torch

from oarpipe.base.files import sha256
from oarpipe.base.log import read_metrics
from oarpipe.base.receipts import read_receipt
from oarpipe.config.tables import validate_entry
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.metrics.extractors import import_torch_fidelity, load_extractor
from oarpipe.stages.train_features import train_features
from tests.stages.measuring import make_dataset, make_network, recipe_of

CLASSIFIER = {
    "kind": "classifier",
    "dataset": "digits",
    "channels": 16,
    "dimensions": 16,
    "train": {"steps": 200, "batch": 64, "lr": 4e-3},
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("features")
    train_features(recipe_of("features", "digits", CLASSIFIER), dataset=dataset.folder, out=out)
    return out


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights under Inception's names."""
    network = import_torch_fidelity("feature_extractor_inceptionv3").FeatureExtractorInceptionV3

    class Blank(network):
        def load_state_dict(self, *args, **kwargs):
            return None

    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    torch.manual_seed(0)
    state = Blank("blank", ["2048"], feature_extractor_weights_path=nothing).state_dict()
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, file)
    return file


def test_a_classifier_learns_the_digits_it_has_not_seen(trained):
    extractor = load_extractor(read_receipt(trained, "features"))
    assert (extractor.name, extractor.kind) == ("digits", "classifier")
    assert extractor.test_accuracy > 0.93  # in a third of the default's steps, at half its resolution
    assert extractor(torch.zeros(1, 3, 12, 12, dtype=torch.uint8)).features.shape == (1, 16)


def test_the_loss_is_told_along_the_way(trained):
    rows = read_metrics(trained / "metrics.jsonl")
    assert rows[-1]["step"] == 199
    assert rows[-1]["loss"] < 0.2 * rows[0]["loss"]


def test_the_same_recipe_gives_the_same_network(dataset, tmp_path):
    short = {**CLASSIFIER, "train": {"steps": 5, "batch": 8}}
    for name in ("first", "second"):
        train_features(recipe_of("features", name, short), dataset=dataset.folder, out=tmp_path / name)
    first, second = (tmp_path / name / "classifier.safetensors" for name in ("first", "second"))
    assert sha256(first) == sha256(second)


def test_a_finished_classifier_is_not_trained_again(dataset, trained):
    before = (trained / "classifier.safetensors").stat().st_mtime_ns
    train_features(recipe_of("features", "digits", CLASSIFIER), dataset=dataset.folder, out=trained)
    assert (trained / "classifier.safetensors").stat().st_mtime_ns == before


def test_a_classifier_without_images_says_which_flag_is_missing(tmp_path):
    with pytest.raises(BadInput, match="--dataset"):
        train_features(recipe_of("features", "digits", CLASSIFIER), out=tmp_path)


def test_a_loss_that_is_no_number_stops_and_names_the_step(dataset, tmp_path):
    wild = {**CLASSIFIER, "train": {"steps": 30, "batch": 8, "lr": 1e38, "log_every": 1, "clip": None}}
    with pytest.raises(BadInput, match=r"step \d+: the loss is nan; lower"):
        train_features(recipe_of("features", "digits", wild), dataset=dataset.folder, out=tmp_path)


def test_a_dataset_folder_must_hold_a_dataset(tmp_path):
    network = make_network(tmp_path)
    with pytest.raises(FingerprintMismatch, match="expected one of 'datasets'"):
        train_features(
            recipe_of("features", "digits", CLASSIFIER), dataset=network.folder, out=tmp_path / "o"
        )


def test_options_that_the_classifier_does_not_use_are_refused():
    raw = {**CLASSIFIER, "train": {"steps": 5, "ema": 0.99}}
    assert (
        "train.ema: the feature classifier is trained without it"
        in validate_entry("features", "d", raw)[1][0]
    )


def test_inception_is_taken_over_and_measures(inception_file, tmp_path):
    entry = {
        "kind": "inception",
        "weights": {"path": str(inception_file), "sha256": sha256(inception_file)},
    }
    train_features(recipe_of("features", "inception", entry), out=tmp_path)
    extractor = load_extractor(read_receipt(tmp_path, "features"))
    found = extractor(torch.randint(256, (2, 3, 24, 24), dtype=torch.uint8))
    assert (found.features.shape, found.logits.shape) == ((2, 2048), (2, 1008))
    assert [extractor.metric(short) for short in ("fd", "kd", "is")] == ["fid", "kid", "is"]
    assert extractor.test_accuracy is None


def test_inception_weights_with_another_hash_are_refused(inception_file, tmp_path):
    entry = {"kind": "inception", "weights": {"path": str(inception_file), "sha256": "0" * 64}}
    with pytest.raises(IncompleteData, match="its sha256 is"):
        train_features(recipe_of("features", "inception", entry), out=tmp_path)


def test_missing_inception_weights_are_told(tmp_path):
    entry = {"kind": "inception", "weights": str(tmp_path / "none.pth")}
    with pytest.raises(IncompleteData, match=r"none\.pth: no such file; mend `weights\.path`"):
        train_features(recipe_of("features", "inception", entry), out=tmp_path)


def test_inceptions_weights_are_downloaded_where_none_are_named():
    weights = recipe_of("features", "inception", {"kind": "inception"}).entry.weights
    assert weights.url.startswith(
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-"
    )


class Code:
    """A pickle that would run a function on loading."""

    def __reduce__(self):
        return print, ("this must not run",)


@pytest.mark.parametrize("content", [{"fc.weight": torch.zeros(2)}, {"code": Code()}, "truncated"])
def test_files_that_are_not_inceptions_weights_are_refused(content, tmp_path, capsys):
    file = tmp_path / "weights.pth"
    torch.save(content, file)
    if content == "truncated":
        file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(IncompleteData, match=r"weights\.pth: not Inception's weights"):
        train_features(
            recipe_of("features", "i", {"kind": "inception", "weights": str(file)}), out=tmp_path / "o"
        )
    assert "must not run" not in capsys.readouterr().out
