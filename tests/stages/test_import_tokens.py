"""The stage `import_tokens` and the tool `export_tokens`: published codes in, published codes out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.grid import Grid
from oarpipe.base.receipts import checked
from oarpipe.cli import main
from oarpipe.config.recipe import Recipe
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts import listing
from oarpipe.data.token_store import TokenSet, TokenStore
from oarpipe.errors import BadInput, FingerprintMismatch
from oarpipe.stages.import_tokens import import_tokens
from oarpipe.stages.train import train
from tests.data import published
from tests.stages import ingredients

LABELS = [3, 0, 1, 3, 0, 1, 1, 3, 1, 0, 1]
CODES = published.codes(len(LABELS))


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    return ingredients.real_tokenizer(tmp_path / "tokenizer")


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    return published.randar(tmp_path / "published", CODES, LABELS)


def recipe(path: Path, kind: str = "randar", **options: Any) -> Recipe[ImportedTokensConfig]:
    entry = {"kind": kind, "path": str(path), "tokenizer": "vq", "shard": 4, **options}
    return Recipe("tokens", "codes", 0, ImportedTokensConfig.model_validate(entry))


def imported(out: Path) -> TokenSet:
    checked(out, "tokens")
    return TokenStore.open(out / "tokens.zarr").read()


def test_every_sample_has_its_codes_label_and_split(tmp_path: Path, codes: Path, tokenizer: Path) -> None:
    import_tokens(recipe(codes, test_every=2), tokenizer=tokenizer, out=tmp_path / "out")
    tokens = imported(tmp_path / "out")
    np.testing.assert_array_equal(tokens.tokens, CODES)
    assert tokens.labels.tolist() == LABELS
    assert tokens.sample_ids.tolist() == list(range(11))
    assert tokens.select("test").sample_ids.tolist() == [3, 4, 5, 8]  # the second (and fourth) of each class
    assert (tokens.grid, tokens.codebook, tokens.classes) == (Grid(3, 3), 64, ["0", "1", "2", "3"])


def test_without_a_share_for_testing_all_samples_are_trained_on(
    tmp_path: Path, codes: Path, tokenizer: Path
) -> None:
    import_tokens(recipe(codes, classes=10), tokenizer=tokenizer, out=tmp_path / "out")
    tokens = imported(tmp_path / "out")
    assert len(tokens.select("train")) == 11
    assert len(tokens.classes) == 10


def test_a_killed_import_continues_at_the_next_shard_and_ends_the_same(
    tmp_path: Path, codes: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (codes / "1" / "8.npy").read_bytes()
    (codes / "1" / "8.npy").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match=r"1/8\.npy"):
        import_tokens(recipe(codes), tokenizer=tokenizer, out=tmp_path / "a")
    (codes / "1" / "8.npy").write_bytes(whole)
    read: list[range] = []
    real = listing.read_rows
    monkeypatch.setattr(
        "oarpipe.data.layouts.read_rows",
        lambda them, rows, **facts: (read.append(rows), real(them, rows, **facts))[1],
    )
    import_tokens(recipe(codes), tokenizer=tokenizer, out=tmp_path / "a")
    assert read == [range(8, 11)]
    import_tokens(recipe(codes), tokenizer=tokenizer, out=tmp_path / "b")
    assert checked(tmp_path / "a", "tokens").digest == checked(tmp_path / "b", "tokens").digest
    read.clear()
    import_tokens(recipe(codes), tokenizer=tokenizer, out=tmp_path / "b")
    assert not read


@pytest.mark.parametrize(("kind", "classes"), [("llamagen", None), ("rar", None), ("lpd", ["a", "b", "c"])])
def test_the_other_layouts_are_imported_as_well(
    tmp_path: Path, tokenizer: Path, kind: str, classes: list[str] | None
) -> None:
    labels = sorted(min(label, 2) for label in LABELS)
    place, options = tmp_path / "published", {}
    if kind == "llamagen":
        published.llamagen(place, CODES, labels)
    elif kind == "rar":
        published.rar(place, np.repeat(CODES, 5, axis=1), labels)
        options = {"views": 10}
    else:
        published.lpd(place, CODES, labels, classes or [])
    import_tokens(recipe(place, kind, **options), tokenizer=tokenizer, out=tmp_path / "out")
    tokens = imported(tmp_path / "out")
    views = [0, 5] if kind == "rar" else [0, 1]
    np.testing.assert_array_equal(tokens.tokens[:, views], CODES)
    assert tokens.labels.tolist() == labels
    assert tokens.classes == (classes or ["0", "1", "2"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"classes": 3}, r"published/3/0\.npy: class 3, expected 0\.\.2; mend it, or tokens\.codes\.classes"),
        ({"count": 12}, "11 samples, expected the 12 of the entry's `count`"),
    ],
)
def test_a_recipe_that_the_files_contradict_is_refused(
    tmp_path: Path, codes: Path, tokenizer: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        import_tokens(recipe(codes, **options), tokenizer=tokenizer, out=tmp_path / "out")
    assert not (tmp_path / "out" / "tokens.zarr").exists()


def test_codes_beyond_the_tokenizers_are_refused(tmp_path: Path, codes: Path) -> None:
    small = ingredients.real_tokenizer(tmp_path / "small", codebook=16)
    with pytest.raises(BadInput, match=r"but the tokenizer has 16 \(0\.\.15\); name the tokenizer that made"):
        import_tokens(recipe(codes), tokenizer=small, out=tmp_path / "out")


def test_codes_of_no_square_grid_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    place = published.randar(tmp_path / "published", CODES[:, :, :8], LABELS)
    with pytest.raises(
        BadInput, match=r"1/\d+\.npy|3/0\.npy: 8 codes a view, expected those of a square grid"
    ):
        import_tokens(recipe(place), tokenizer=tokenizer, out=tmp_path / "out")


def test_ten_lines_an_image_are_rars_alone() -> None:
    with pytest.raises(ValueError, match="the files of kind randar tell their views; leave it out"):
        recipe(Path("x"), views=10)


def test_a_model_trains_on_imported_codes(tmp_path: Path, codes: Path, tokenizer: Path) -> None:
    import_tokens(recipe(codes), tokenizer=tokenizer, out=tmp_path / "t")
    train(ingredients.model_recipe(steps=2), tokens=tmp_path / "t", out=tmp_path / "model")
    checked(tmp_path / "model", "models")


@pytest.mark.parametrize("layout", ["randar", "llamagen"])
def test_what_was_exported_is_imported_again(tmp_path: Path, tokenizer: Path, layout: str) -> None:
    make = {"randar": published.randar, "llamagen": published.llamagen}[layout]
    place = make(tmp_path / "published", CODES, LABELS)
    import_tokens(recipe(place, layout), tokenizer=tokenizer, out=tmp_path / "a")
    again = str(tmp_path / "flip")
    assert main(["export-tokens", str(tmp_path / "a"), "--layout", layout, "--out", again]) == 0
    import_tokens(recipe(tmp_path / "flip", layout), tokenizer=tokenizer, out=tmp_path / "b")
    assert checked(tmp_path / "a", "tokens").digest == checked(tmp_path / "b", "tokens").digest
    assert ingredients.files(tmp_path / "flip") == ingredients.files(place)


def test_only_tokens_are_exported(
    tmp_path: Path, tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export-tokens", str(tokenizer), "--layout", "randar", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "expected one of 'tokens'" in capsys.readouterr().err
    with pytest.raises(FingerprintMismatch):
        checked(tokenizer, "tokens")
