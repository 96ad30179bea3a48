"""The stage `import_model` and its way back: by recipe as the workflow does, and by hand."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import oarpipe
from oarpipe.base.files import read_json, sha256
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.models import ImportedModelConfig
from oarpipe.config.outputs import InformationConfig
from oarpipe.config.recipe import Recipe
from oarpipe.data.sample_store import SampleStore
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import FingerprintMismatch, IncompleteData
from oarpipe.models import published
from oarpipe.models.next_token import NextToken
from oarpipe.models.position_tokens import PositionTokens
from oarpipe.models.token_model import TokenModel
from oarpipe.stages.extract import extract
from oarpipe.stages.generate import generate
from oarpipe.stages.import_model import import_model
from oarpipe.stages.information import information
from oarpipe.stages.merge_orders import merge_orders
from oarpipe.stages.merge_samples import merge_samples
from oarpipe.stages.train import train
from oarpipe.training import loop
from tests.conftest import published_weights
from tests.stages.ingredients import (
    CLASSES,
    CODEBOOK,
    SQUARE,
    files,
    model_recipe,
    orders_recipe,
    real_tokenizer,
    samples_recipe,
    tokens,
    words,
)

RASTER = {"select": "follow", "order": {"kind": "rule", "name": "raster"}}
SIZES: dict[str, Any] = {"layers": 1, "heads": 2, "width": 16}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tokens(tmp_path_factory.mktemp("line") / "t", grid=SQUARE)


def network(kind: type[TokenModel], codebook: int = CODEBOOK, classes: int = len(CLASSES)) -> TokenModel:
    return kind(grid=SQUARE, codebook=codebook, classes=classes, **SIZES)


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Path]:
    """RandAR's and LlamaGen's files, with the store's codes and classes."""
    found = {"randar": tmp_path / "randar.safetensors", "llamagen": tmp_path / "c2i.pt"}
    save_file(published_weights(network(PositionTokens)), found["randar"])
    torch.save({"model": published_weights(network(NextToken))}, found["llamagen"])
    return found


def recipe(file: Path, kind: str = "randar", **options: Any) -> Recipe[ImportedModelConfig]:
    entry = {"kind": kind, "tokens": "t", "weights": {"path": str(file)}, "heads": 2, **options}
    return Recipe("models", "xl", 0, ImportedModelConfig.model_validate(entry))


def test_an_imported_randar_is_extracted_from_tuned_and_sampled(
    weights: dict[str, Path], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)
    model = tmp_path / "xl"
    import_model(recipe(weights["randar"]), tokens=store, out=model)
    receipt = checked(model, "models")
    assert list(receipt.files) == ["model.safetensors", "model.yaml"]
    assert receipt.inputs == {"tokens": checked(store, "tokens").digest}
    source = yaml.safe_load((model / "model.yaml").read_text())["source"]
    assert source == {"kind": "randar", "sha256": sha256(weights["randar"])}
    extract(orders_recipe(), model=model, tokens=store, out=tmp_path / "greedy")
    merge_orders(orders_recipe(), model=model, tokens=store, out=tmp_path / "greedy")
    tuned = model_recipe("tuned", init="xl", steps=2)
    train(tuned, tokens=store, init=model, out=tmp_path / "tuned")
    line = {"model": tmp_path / "tuned", "tokenizer": real_tokenizer(tmp_path / "tokenizer")}
    generate(samples_recipe(count=3), **line, out=tmp_path / "samples")
    merge_samples(samples_recipe(count=3), **line, out=tmp_path / "samples")
    checked(tmp_path / "samples", "samples")


def test_an_imported_llamagen_is_sampled_in_raster_order_with_guidance(
    weights: dict[str, Path], store: Path, tmp_path: Path
) -> None:
    import_model(recipe(weights["llamagen"], "llamagen"), tokens=store, out=tmp_path / "c2i")
    line = {"model": tmp_path / "c2i", "tokenizer": real_tokenizer(tmp_path / "tokenizer")}
    asked = samples_recipe(count=5, policy=RASTER, guidance={"scale": 1.75})
    generate(asked, **line, out=tmp_path / "samples")
    merge_samples(asked, **line, out=tmp_path / "samples")
    found = SampleStore.open(tmp_path / "samples" / "samples.zarr")
    np.testing.assert_array_equal(found.read("orders"), np.tile(np.arange(9), (5, 1)))
    assert len(np.unique(found.read("tokens"), axis=0)) == 5


def test_an_imported_llamagen_has_its_likelihood_measured_in_raster_order(
    weights: dict[str, Path], store: Path, tmp_path: Path
) -> None:
    import_model(recipe(weights["llamagen"], "llamagen"), tokens=store, out=tmp_path / "c2i")
    entry = {"models": ["c2i"], "tokens": "t", "orders": {"raster": RASTER["order"]}}
    asked = Recipe("information", "main", 0, InformationConfig.model_validate(entry))
    information(asked, models=[tmp_path / "c2i"], tokens=store, out=tmp_path / "main")
    rows = TokenStore.open(store / "tokens.zarr").read().select("test")
    codes, labels = torch.from_numpy(rows.tokens[:, 0]).long(), torch.from_numpy(rows.labels).long()
    logits = oarpipe.load_model(tmp_path / "c2i")(codes, torch.arange(9).expand(len(rows), -1), labels)
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), codes.flatten()).item()
    found = read_json(tmp_path / "main" / "information.json")["models"]["xl"]["raster"]
    assert found["nll"] == pytest.approx(expected, abs=1e-5)


def test_a_finished_import_is_not_made_again_but_other_weights_are(
    weights: dict[str, Path], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, file = tmp_path / "xl", weights["randar"]
    import_model(recipe(file), tokens=store, out=out)
    before = files(out)
    with monkeypatch.context() as patch:
        patch.setattr(published, "read_model", None)
        import_model(recipe(file), tokens=store, out=out)
    assert files(out) == before
    save_file({key: 2 * tensor for key, tensor in load_file(file).items()}, file)
    import_model(recipe(file), tokens=store, out=out)
    assert files(out)["model.safetensors"] != before["model.safetensors"]


def test_a_named_hash_is_held_to(weights: dict[str, Path], store: Path, tmp_path: Path) -> None:
    file = weights["randar"]
    place = {"path": str(file), "sha256": sha256(file)}
    import_model(recipe(file, weights=place), tokens=store, out=tmp_path / "xl")
    with pytest.raises(IncompleteData, match=r"its sha256 is .*, the recipe's `weights\.sha256` says 000"):
        import_model(
            recipe(file, weights={**place, "sha256": "0" * 64}), tokens=store, out=tmp_path / "other"
        )


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"codebook": CODEBOOK + 1}, r"models\.xl: made for 65 codes, but tokens\.t has 64"),
        ({"codebook": CODEBOOK - 1}, r"models\.xl: made for 63 codes, but tokens\.t has 64"),
        ({"classes": 1000}, r"models\.xl: made for 1000 classes, but tokens\.t has 2"),
    ],
)
def test_weights_for_other_codes_or_classes_are_refused(
    store: Path, tmp_path: Path, sizes: dict[str, int], says: str
) -> None:
    save_file(published_weights(network(PositionTokens, **sizes)), tmp_path / "other.safetensors")
    with pytest.raises(FingerprintMismatch, match=says):
        import_model(recipe(tmp_path / "other.safetensors"), tokens=store, out=tmp_path / "xl")
    assert [file.name for file in (tmp_path / "xl").rglob("*")] == [".writer.json"]  # `main` ends the attempt


def test_by_hand_it_is_recognised_imported_loaded_and_exported_again(
    weights: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, file in weights.items():
        out, back = tmp_path / kind, tmp_path / f"back-{file.name}"
        assert main(["import-model", "--weights", str(file), "--heads", "2", "--out", str(out)]) == 0
        told = capsys.readouterr().err
        assert f"recognised {kind}: 1 layers, width 16, 2 heads, 64 codes, 2 classes, grid 16x16" in told
        assert "not in the file, so assumed: --grid 16x16" in told
        assert oarpipe.load_model(out).grid.positions == 256
        assert main(["export-model", str(out), "--out", str(back)]) == 0
    assert (tmp_path / "back-randar.safetensors").read_bytes() == weights["randar"].read_bytes()
    given, again = (
        torch.load(file, weights_only=True)["model"]
        for file in (weights["llamagen"], tmp_path / "back-c2i.pt")
    )
    assert given.keys() == again.keys()
    assert all(torch.equal(given[key], again[key]) for key in given)


def test_the_grid_can_be_given_by_hand(weights: dict[str, Path], tmp_path: Path) -> None:
    command = ["import_model", "--kind", "randar", "--weights", str(weights["randar"]), "--heads", "2"]
    assert main([*command, "--grid", "3x4", "--out", str(tmp_path / "xl")]) == 0
    grid = oarpipe.load_model(tmp_path / "xl").grid
    assert (grid.height, grid.width) == (3, 4)


Words = Callable[[dict[str, Path], Path, Path], list[str]]
REFUSED: dict[str, tuple[Words, str]] = {
    "neither": (
        lambda weights, store, out: ["import-model", "--out", str(out)],
        "import_model: give either --recipe and --tokens, or --weights",
    ),
    "both": (
        lambda weights, store, out: [
            *words("import_model", recipe(weights["randar"]), tokens=store, out=out),
            *("--weights", str(weights["randar"]), "--heads", "2"),
        ],
        "models.xl: the recipe says which weights; leave --weights, --heads out",
    ),
    "a recipe without tokens": (
        lambda weights, store, out: words("import_model", recipe(weights["randar"]), out=out),
        "models.xl: the recipe says which weights; name its token store with --tokens",
    ),
    "a recipe to train": (
        lambda weights, store, out: words("import_model", model_recipe(), tokens=store, out=out),
        "models.any: is trained, not imported; run `oarpipe train`",
    ),
    "an unknown kind": (
        lambda weights, store, out: ["import-model", "--kind", "rar", "--out", str(out)],
        "argument --kind: invalid choice: 'rar'",
    ),
    "a grid that is none": (
        lambda weights, store, out: [
            *("import-model", "--weights", str(weights["randar"]), "--grid", "16", "--out", str(out))
        ],
        "grid '16': expected rows and columns, such as 16x16",
    ),
    "a file that is none": (
        lambda weights, store, out: ["import-model", "--weights", "nowhere.pt", "--out", str(out)],
        "nowhere.pt: no such file",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_one_line(
    weights: dict[str, Path],
    store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mistake: str,
) -> None:
    make, says = REFUSED[mistake]
    assert main(make(weights, store, tmp_path / "xl")) == 2
    told = capsys.readouterr().err
    assert re.match(rf"oarpipe: {re.escape(says)}", told), told
    assert not (tmp_path / "xl").exists()
