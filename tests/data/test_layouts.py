"""Other projects' token sets: what is in them, in which order, and what is wrong with the wrong ones."""

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oarpipe.base.grid import Grid
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts import WRITERS, list_tokens, read_rows
from oarpipe.data.layouts.listing import Listing
from oarpipe.data.token_store import TokenSet
from oarpipe.errors import BadInput, IncompleteData
from tests.data import published

LABELS = [1, 0, 1, 12, 0, 1, 1]
TEN = published.codes(7, views=10)
TWO = TEN[:, :2]


def listed(kind: str, path: Path, **options: Any) -> Listing:
    entry = {"kind": kind, "path": str(path), "tokenizer": "vq", **options}
    return list_tokens(ImportedTokensConfig.model_validate(entry))


def all_codes(listing: Listing, codebook: int = 64) -> np.ndarray:
    return np.stack(list(read_rows(listing, range(len(listing)), positions=9, codebook=codebook)))


def test_randars_samples_are_ordered_by_index_over_all_classes(tmp_path: Path) -> None:
    listing = listed("randar", published.randar(tmp_path / "codes", TWO, LABELS))
    assert listing.sample_ids.tolist() == list(range(7))
    assert listing.labels.tolist() == LABELS
    assert listing.views == ["original", "flipped"]
    assert listing.where(3) == f"{tmp_path}/codes/12/3.npy"
    np.testing.assert_array_equal(all_codes(listing), TWO)


def test_randars_tar_is_read_without_unpacking(tmp_path: Path) -> None:
    root = published.randar(tmp_path / "imagenet-codes", TWO, LABELS)
    (root / "README.md").touch()
    file = tmp_path / "codes.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(root, root.name)
    listing, unpacked = listed("randar", file), listed("randar", root)
    assert listing.sample_ids.tolist() == unpacked.sample_ids.tolist()
    assert listing.labels.tolist() == LABELS
    np.testing.assert_array_equal(all_codes(listing), TWO)
    with pytest.raises(BadInput, match=r"codes\.tar/1/0\.npy: code \d+, but the tokenizer has 2"):
        all_codes(listing, codebook=2)


def test_a_tar_that_is_cut_short_or_of_other_things_is_told(tmp_path: Path) -> None:
    root = published.randar(tmp_path / "codes", TWO, LABELS)
    file = tmp_path / "codes.tar"
    with tarfile.open(file, "w") as archive:
        archive.add(root / "1", "n01440764")
    with pytest.raises(BadInput, match=r"n01440764/\d\.npy is not named CLASS/INDEX\.npy, numbers both"):
        listed("randar", file)
    file.write_bytes(file.read_bytes()[:1500])
    with pytest.raises(BadInput, match=r"codes\.tar: .*fetch it again"):
        listed("randar", file)


def test_randars_gaps_are_kept_as_sample_ids(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = published.randar(tmp_path / "codes", TWO, LABELS)
    (root / "12" / "3.npy").unlink()
    assert listed("randar", root).sample_ids.tolist() == [0, 1, 2, 4, 5, 6]
    assert "1 of the images 0..6 have no codes" in caplog.text


def test_an_image_in_two_classes_is_an_error(tmp_path: Path) -> None:
    root = published.randar(tmp_path / "codes", TWO, LABELS)
    np.save(root / "12" / "4.npy", TWO[4])
    with pytest.raises(BadInput, match=r"/0/4\.npy and .*/12/4\.npy: one image in two classes"):
        listed("randar", root)


@pytest.mark.parametrize(("folder", "file"), [("cat", "1.npy"), ("1", "one.npy"), ("1", "01.npy")])
def test_a_name_that_is_no_number_is_told(tmp_path: Path, folder: str, file: str) -> None:
    root = published.randar(tmp_path / "codes", TWO, LABELS)
    (root / folder).mkdir(exist_ok=True)
    np.save(root / folder / file, TWO[0])
    with pytest.raises(BadInput, match=r"(cat|one\.npy|01\.npy): expected .* number"):
        listed("randar", root)


def test_llamagens_samples_are_ordered_by_number_and_have_their_labels(tmp_path: Path) -> None:
    labels = LABELS * 2  # 10.npy comes before 2.npy by name
    listing = listed("llamagen", published.llamagen(tmp_path, np.concatenate([TWO, TWO]), labels))
    assert listing.labels.tolist() == labels
    np.testing.assert_array_equal(all_codes(listing)[7:], TWO)


@pytest.mark.parametrize("place", ["the published sibling", "the same folder"])
def test_llamagens_second_ten_crops_are_further_views(tmp_path: Path, place: str) -> None:
    root = published.llamagen(tmp_path / "flip_ten_crop", TEN, LABELS)
    if place == "the same folder":
        published.llamagen(root, TEN[:, ::-1], LABELS, name="imagenet48_ten_crop_105")
    else:
        published.llamagen(tmp_path / "flip_ten_crop_105", TEN[:, ::-1], LABELS)
    listing = listed("llamagen", root)
    assert listing.views[:2] == ["top_left", "top_right"]
    assert listing.views[9:11] == ["flipped_centre", "top_left_105"]
    np.testing.assert_array_equal(all_codes(listing), np.concatenate([TEN, TEN[:, ::-1]], axis=1))


def test_further_views_of_other_classes_or_counts_are_errors(tmp_path: Path) -> None:
    root = published.llamagen(tmp_path, TWO, LABELS)
    published.llamagen(root, TEN, [*LABELS[:5], 0, 1], name="imagenet48_ten_crop")
    with pytest.raises(BadInput, match=r"imagenet48_ten_crop_labels/5\.npy: class 0, but 1 in"):
        listed("llamagen", root)
    for kind in ("codes", "labels"):
        (root / f"imagenet48_ten_crop_{kind}" / "6.npy").unlink()
    with pytest.raises(IncompleteData, match=r"ten_crop_codes: another number of files than the 7 of"):
        listed("llamagen", root)


@pytest.mark.parametrize("kind", ["codes", "labels"])
def test_llamagens_codes_and_labels_are_counted_against_each_other(tmp_path: Path, kind: str) -> None:
    root = published.llamagen(tmp_path, TWO, LABELS)
    (root / f"imagenet48_{kind}" / "6.npy").unlink()
    with pytest.raises(IncompleteData, match="_labels: another number of files than the "):
        listed("llamagen", root)
    (root / f"imagenet48_{kind}" / "2.npy").unlink()
    with pytest.raises(IncompleteData, match=rf"_{kind}/2\.npy: missing, though later ones are there"):
        listed("llamagen", root)


def test_what_a_distributed_sampler_appended_is_left_out(tmp_path: Path) -> None:
    root = published.llamagen(tmp_path, TWO, LABELS)
    listing = listed("llamagen", root, count=5)
    assert listing.labels.tolist() == LABELS[:5]
    with pytest.raises(IncompleteData, match=r"7 samples, expected the 8 of the entry's `count`"):
        listed("llamagen", root, count=8)


def test_rars_lines_are_samples_of_one_view_unless_ten_are_asked_for(tmp_path: Path) -> None:
    file = published.rar(tmp_path / "pretokenized.jsonl", TEN, LABELS)
    by_line = listed("rar", file)
    assert (len(by_line), by_line.views) == (70, ["original"])
    np.testing.assert_array_equal(all_codes(by_line), TEN.reshape(70, 1, 9))
    by_image = listed("rar", file, views=10)
    assert by_image.labels.tolist() == LABELS
    np.testing.assert_array_equal(all_codes(by_image), TEN)


def test_rars_lines_of_several_classes_are_no_views(tmp_path: Path) -> None:
    lines = published.rar(tmp_path / "a.jsonl", TEN, LABELS).read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join(lines[3:] + lines[:3]) + "\n")
    with pytest.raises(BadInput, match=r"a\.jsonl, line 1: this and the next 9 lines are of several classes"):
        listed("rar", tmp_path / "a.jsonl", views=10)
    (tmp_path / "a.jsonl").write_text("\n".join(lines[3:]))
    with pytest.raises(IncompleteData, match=r"67 lines, no multiple of the 10"):
        listed("rar", tmp_path / "a.jsonl", views=10)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"tokens": [1]}', 'line 8: no "class_id"'),
        ('{"class_id": 1, "tokens": [1, 2', "line 8: broken"),
        ('{"class_id": 1, "codes": [1, 2]}', "line 8: broken"),
        ('{"class_id": 1, "tokens": [1, 2.5]}', 'line 8: expected "tokens" to be a list of whole numbers'),
        (
            json.dumps({"class_id": 1, "tokens": list(range(16))}),
            "line 8: 1 view of 16 codes, expected 1 view",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    file = published.rar(tmp_path / "a.jsonl", TWO[:, :1], LABELS)
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises((BadInput, IncompleteData), match=says):
        all_codes(listed("rar", file))


def test_lpds_classes_are_the_folders_and_its_views_the_mirror_images(tmp_path: Path) -> None:
    labels, classes = [0, 0, 1, 1, 1, 2, 2], ["n01440764", "n01443537", "n01484850"]
    listing = listed("lpd", published.lpd(tmp_path, TWO, labels, classes))
    assert (listing.classes, listing.labels.tolist()) == (classes, labels)
    assert listing.views == ["original", "flipped"]
    np.testing.assert_array_equal(all_codes(listing), TWO)


@pytest.mark.parametrize("kind", ["randar", "llamagen", "lpd"])
def test_the_order_of_the_file_system_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    layouts: dict[str, Callable[[], Path]] = {
        "randar": lambda: published.randar(tmp_path, TWO, LABELS),
        "llamagen": lambda: published.llamagen(tmp_path, TWO, LABELS),
        "lpd": lambda: published.lpd(tmp_path, TWO, sorted(x % 2 for x in LABELS), ["a", "b"]),
    }
    root = layouts[kind]()
    expected = all_codes(listed(kind, root))
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: Backwards(real(path)))
    np.testing.assert_array_equal(all_codes(listed(kind, root)), expected)


class Backwards:
    """A directory, listed from its end."""

    def __init__(self, entries: Any) -> None:
        with entries:
            self.entries = list(entries)[::-1]

    def __enter__(self) -> list[Any]:
        return self.entries

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full((2, 9), 64), r"0/4\.npy: code 64, but the tokenizer has 64 \(0\.\.63\)"),
        (np.full((2, 9), -1), r"0/4\.npy: code -1, but the tokenizer has 64"),
        (TEN[0], r"0/4\.npy: 10 views of 9 codes, expected 2 views of 9 codes as in .*1/0\.npy"),
        (np.zeros((2, 16), int), r"0/4\.npy: 2 views of 16 codes, expected 2 views of 9 codes"),
        (np.zeros((1, 2, 9), int), r"0/4\.npy: int64 of shape \(1, 2, 9\), expected whole numbers of shape"),
        (np.zeros((2, 9)), r"0/4\.npy: float64 of shape \(2, 9\), expected whole numbers"),
    ],
)
def test_a_file_of_other_codes_is_named(tmp_path: Path, values: np.ndarray, says: str) -> None:
    root = published.randar(tmp_path, TWO, LABELS)
    np.save(root / "0" / "4.npy", values)
    with pytest.raises(BadInput, match=says):
        all_codes(listed("randar", root))


@pytest.mark.parametrize("kind", ["randar", "llamagen", "rar", "lpd"])
def test_what_is_missing_empty_or_of_the_wrong_kind_is_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(IncompleteData, match="nowhere: no such file or folder; set the entry's `path`"):
        listed(kind, tmp_path / "nowhere")
    (tmp_path / "a").touch()
    (tmp_path / "b").mkdir()
    empty, wrong = ("a", "b") if kind == "rar" else ("b", "a")
    with pytest.raises(IncompleteData, match=f"{tmp_path}/{empty}: "):
        listed(kind, tmp_path / empty)
    with pytest.raises(BadInput, match=f"{tmp_path}/{wrong}: expected the .*, as kind {kind} has it"):
        listed(kind, tmp_path / wrong)


def token_set(values: np.ndarray, views: list[str], sample_ids: np.ndarray | None = None) -> TokenSet:
    return TokenSet(
        tokens=values.astype(np.int32),
        labels=np.array(LABELS, np.int32),
        sample_ids=np.arange(7) if sample_ids is None else sample_ids,
        splits=np.zeros(7, np.uint8),
        grid=Grid(3, 3),
        codebook=64,
        classes=[str(i) for i in range(13)],
        views=views,
    )


@pytest.mark.parametrize("kind", ["randar", "llamagen"])
def test_exporting_and_importing_gives_back_every_array(tmp_path: Path, kind: str) -> None:
    tokens = token_set(TWO, ["original", "flipped"])
    WRITERS[kind](tokens, tmp_path / "flip")
    listing = listed(kind, tmp_path / "flip")
    np.testing.assert_array_equal(all_codes(listing), tokens.tokens)
    np.testing.assert_array_equal(listing.labels, tokens.labels)
    np.testing.assert_array_equal(listing.sample_ids, tokens.sample_ids)
    assert listing.views == tokens.views


@pytest.mark.parametrize("kind", ["randar", "llamagen"])
def test_importing_and_exporting_gives_back_every_byte(tmp_path: Path, kind: str) -> None:
    make = {"randar": published.randar, "llamagen": published.llamagen}[kind]
    make(tmp_path / "theirs", TWO, LABELS)
    listing = listed(kind, tmp_path / "theirs")
    WRITERS[kind](token_set(all_codes(listing), listing.views), tmp_path / "ours")
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")


def test_two_sets_of_ten_crops_go_back_where_llamagen_seeks_them(tmp_path: Path) -> None:
    published.llamagen(tmp_path / "flip_ten_crop", TEN, LABELS)
    published.llamagen(tmp_path / "flip_ten_crop_105", TEN[:, ::-1], LABELS)
    listing = listed("llamagen", tmp_path / "flip_ten_crop")
    tokens = token_set(all_codes(listing), listing.views)
    WRITERS["llamagen"](tokens, tmp_path / "out" / "flip_ten_crop")
    for name in ("flip_ten_crop", "flip_ten_crop_105"):
        assert contents(tmp_path / "out" / name) == contents(tmp_path / name)
    with pytest.raises(BadInput, match=r"elsewhere: there are two sets of ten crops"):
        WRITERS["llamagen"](tokens, tmp_path / "elsewhere")


def test_what_llamagens_layout_cannot_say_is_refused(tmp_path: Path) -> None:
    tokens = token_set(TWO[:, :1], ["original"], np.arange(7) * 3)
    with pytest.raises(BadInput, match=r"ids are not 0, 1, 2, .*use --layout randar"):
        WRITERS["llamagen"](tokens, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="out: exists already"):
        WRITERS["randar"](token_set(TWO, ["original", "flipped"]), tmp_path / "out")


def contents(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
