"""A published file becomes a tokenizer's results folder, from a recipe or by hand."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from oarpipe import load_tokenizer
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.datasets import DigitsConfig
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import ImportedTokenizerConfig, TokensConfig, VQGANAnatomy, VQGANConfig
from oarpipe.config.training import TrainConfig
from oarpipe.data.token_store import TokenStore
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.stages.import_tokenizer import import_tokenizer
from oarpipe.stages.index import index
from oarpipe.stages.tokenize import tokenize
from oarpipe.stages.train_tokenizer import train_tokenizer
from oarpipe.tokenizers.networks import build
from tests.conftest import published_weights

ANATOMY = VQGANAnatomy(
    kind="vqgan", stem="strided", factor=2, width=4, multipliers=[1, 2], attention=True, codebook=20
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """LlamaGen's tokenizer in small."""
    weights = {**published_weights(build(ANATOMY, "cpu")), "quantize.codebook_used": torch.zeros(5)}
    torch.save({"model": weights, "args": None}, tmp_path / "vq.pt")
    return tmp_path / "vq.pt"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def recipe(file: Path, **weights: Any) -> Recipe[ImportedTokenizerConfig]:
    content = {"kind": "llamagen", "weights": {"path": str(file), **weights}}
    return Recipe("tokenizers", "vq", 0, ImportedTokenizerConfig.model_validate(content))


def test_a_recipe_and_the_command_line_make_the_same_tokenizer(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    import_tokenizer(recipe(file), out=tmp_path / "one")
    assert "recognised llamagen: 20 codes of length 8, 2 pixels a token" in caplog.text
    assert main(["import-tokenizer", "--weights", str(file), "--out", str(tmp_path / "two")]) == 0
    one, two = (checked(tmp_path / name, "tokenizers") for name in ("one", "two"))
    assert one.digest == two.digest
    assert (one.name, two.name) == ("vq", "two")
    network = load_tokenizer(tmp_path / "two")
    assert network.anatomy == ANATOMY
    expected = published_weights(build(ANATOMY, "cpu"))
    assert all(torch.equal(tensor, expected[key]) for key, tensor in network.state_dict().items())
    description = yaml.safe_load((tmp_path / "two" / "tokenizer.yaml").read_text())
    assert description["source"] == {"kind": "llamagen", "sha256": sha256(file)}


def test_images_can_be_tokenized_with_it(file: Path, tmp_path: Path) -> None:
    import_tokenizer(recipe(file), out=tmp_path / "vq")
    index(Recipe("datasets", "digits", 0, DigitsConfig(kind="digits", resolution=8)), out=tmp_path / "digits")
    entry = TokensConfig(dataset="digits", tokenizer="vq")
    out = tmp_path / "tokens"
    tokenize(
        Recipe("tokens", "digits", 0, entry), dataset=tmp_path / "digits", tokenizer=tmp_path / "vq", out=out
    )
    assert TokenStore.open(out / "tokens.zarr").codebook == 20


def test_what_is_imported_already_is_not_imported_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = recipe(file, sha256=sha256(file))
    import_tokenizer(this, out=tmp_path / "vq")
    (tmp_path / "vq" / "receipt.json").unlink()
    file.unlink()  # its hash is in the recipe, so it is not even looked for
    import_tokenizer(this, out=tmp_path / "vq")
    assert (tmp_path / "vq" / "receipt.json").is_file()


def test_another_file_under_the_same_name_is_imported_anew(file: Path, tmp_path: Path) -> None:
    import_tokenizer(recipe(file), out=tmp_path / "vq")
    before = checked(tmp_path / "vq", "tokenizers").digest
    weights = torch.load(file, weights_only=True)["model"]
    torch.save({key: tensor + 1 for key, tensor in weights.items()}, file)
    import_tokenizer(recipe(file), out=tmp_path / "vq")
    assert checked(tmp_path / "vq", "tokenizers").digest != before


def test_a_wrong_hash_names_both_and_leaves_no_receipt(file: Path, tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=rf"vq\.pt: its sha256 is {sha256(file)}.*{'0' * 64}"):
        import_tokenizer(recipe(file, sha256="0" * 64), out=tmp_path / "vq")
    assert not (tmp_path / "vq" / "receipt.json").exists()


def test_the_command_line_tells_in_one_line_what_another_file_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "randar.pt"
    names = ("pos_instruct_embeddings", "layers.0.attention.wqkv.weight")
    torch.save({name: torch.zeros(2) for name in names}, file)
    assert main(["import-tokenizer", "--weights", str(file), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"oarpipe: {file}: expected a published tokenizer (llamagen, taming, maskgit)")
    assert "looks like RandAR's class-conditional model" in told


def test_a_recipe_and_arguments_do_not_mix(file: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="leave --weights and --kind out"):
        import_tokenizer(recipe(file), weights=file, out=tmp_path / "vq")
    with pytest.raises(BadInput, match="either --recipe, or --weights"):
        import_tokenizer(out=tmp_path / "vq")


def test_trained_and_imported_entries_are_sent_to_each_others_command(file: Path, tmp_path: Path) -> None:
    trained = VQGANConfig(kind="vqgan", dataset="x", train=TrainConfig(steps=1))
    with pytest.raises(BadInput, match="is trained, not imported; run `oarpipe train_tokenizer`"):
        import_tokenizer(Recipe("tokenizers", "vq", 0, trained), out=tmp_path)
    with pytest.raises(BadInput, match="is imported, not trained; run `oarpipe import_tokenizer`"):
        train_tokenizer(recipe(file), dataset=tmp_path, out=tmp_path)
