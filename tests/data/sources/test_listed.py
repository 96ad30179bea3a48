"""Lists and tables of images, in the layouts they come in."""

import json
from pathlib import Path
from typing import Any

import pytest

from oarpipe.config.datasets import CaptionsConfig, ListConfig
from oarpipe.data.sources.listed import CaptionsSource, ListSource
from oarpipe.errors import BadInput
from tests.data.sources.pictures import opened, paint_all, reds

VALUES = {"a/1.png": 10, "a/2.png": 20, "b/1.png": 30, "b/with space.png": 40}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paint_all(tmp_path, VALUES)
    return tmp_path


def listed(folder: Path, text: str, name: str = "list.txt", **options: Any) -> ListConfig:
    (folder / name).write_text(text)
    return ListConfig(kind="list", path=str(folder / name), resolution=8, **options)


@pytest.mark.parametrize(
    "text",
    [
        "b/1.png two\na/1.png one\nb/with space.png two\n",
        "b/1.png\ttwo\na/1.png\tone\r\nb/with space.png\ttwo",
        "b/1.png,two\na/1.png,one\n\nb/with space.png,two\n",
        'path,label\n"b/1.png", two\na/1.png,one\nb/with space.png,two\n',
        "\ufeffpath,label,split\nb/1.png,two,train\na/1.png,one,\nb/with space.png,two,train\n",
    ],
    ids=["spaces", "tabs", "csv", "csv with header", "byte order mark"],
)
def test_a_list_in_any_form_keeps_its_order_and_sorts_its_classes(folder: Path, text: str) -> None:
    source = opened(listed(folder, text))
    assert source.index.path == ["b/1.png", "a/1.png", "b/with space.png"]
    assert source.index.classes == ["one", "two"]
    assert source.index.label.tolist() == [1, 0, 1]
    assert reds(source) == [30, 10, 40]


def test_labels_that_are_numbers_are_the_classes_numbers(folder: Path) -> None:
    source = opened(listed(folder, "a/1.png 10\na/2.png 2\n"))
    assert source.index.label.tolist() == [10, 2]
    assert source.index.classes == [str(i) for i in range(11)]
    mixed = opened(listed(folder, "a/1.png 10\na/2.png two\n"))
    assert mixed.index.classes == ["10", "two"]


def test_a_split_column_or_a_second_list_names_the_test_images(folder: Path) -> None:
    one = opened(listed(folder, "a/1.png,x,train\na/2.png,x,val\nb/1.png,x,test\n"))
    assert one.index.split == ["train", "test", "test"]
    listed(folder, "b/1.png x\n", "held.txt")
    two = opened(listed(folder, "a/1.png x\na/2.png x\n", test_path=str(folder / "held.txt"), test_every=2))
    assert two.index.split == ["train", "train", "test"]
    none = opened(listed(folder, "a/1.png x\na/2.png x\n", test_every=None))
    assert none.index.split == ["train", "train"]


def test_paths_are_relative_to_the_list_or_to_a_folder_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    config = listed(tmp_path / "elsewhere", "1.png x\n", images=str(folder / "b"))
    assert reds(opened(config)) == [30]
    assert reds(opened(listed(folder, f"{folder}/b/1.png x\n"))) == [30]


def test_missing_files_and_bad_lines_are_rejected_with_their_lines(folder: Path) -> None:
    config = listed(folder, "a/1.png,x\nonly.png\na/9.png,x\na/2.png,x,train,more\n")
    assert ListSource(config).listing().rejected == [
        ("a/9.png", "cannot be read (No such file or directory)"),
        ("list.txt:2", "expected path, label and perhaps split, found 1 columns"),
        ("list.txt:4", "expected path, label and perhaps split, found 4 columns"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a/1.png,x,tset\n", r"list\.txt:1: split 'tset', did you mean 'test'\?"),
        ("a/1.png,x\na/1.png,y\n", r"a/1\.png is listed twice"),
        ("a/1.png,Cat\na/2.png,cat\n", "differ only by case"),
        ("a/1.png 70000\n", "numbers go from 0 to 65535"),
    ],
)
def test_what_is_ambiguous_is_refused_and_named(folder: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ListSource(listed(folder, text)).listing()


def test_a_list_that_cannot_be_read_is_named(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.txt: cannot be read \(No such file"):
        ListSource(ListConfig(kind="list", path=str(folder / "absent.txt"))).listing()
    (folder / "latin.txt").write_bytes("a/1.png caf\xe9\n".encode("latin-1"))
    with pytest.raises(BadInput, match=r"latin\.txt: not UTF-8 text"):
        ListSource(ListConfig(kind="list", path=str(folder / "latin.txt"))).listing()


STYLES = """id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName
15970,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011,Casual,Turtle Check Men Navy Blue Shirt
39386,Men,Apparel,Bottomwear,Jeans,Blue,Summer,2012,Casual,Peter England Men Party, Blue, Jeans
59263,Women,Accessories,Watches,Watches,Silver,Winter,2016,Casual,Titan Women Silver Watch
21379,Men,Apparel,Bottomwear
39403,Men,Apparel,Topwear,Shirts,Red,Fall,2011,Casual,No image
1163,Men,Apparel,Topwear,Shirts,Blue,Summer,2011,Sports,
"""


def captions(path: Path, **options: Any) -> CaptionsConfig:
    return CaptionsConfig(kind="captions", path=str(path), resolution=8, **options)


def test_fashion_products_styles_are_read_with_their_stray_commas(tmp_path: Path) -> None:
    paint_all(tmp_path / "images", {"15970.jpg": 10, "39386.jpg": 20, "59263.jpg": 30, "1163.jpg": 40})
    (tmp_path / "styles.csv").write_text(STYLES)
    listing = CaptionsSource(captions(tmp_path / "styles.csv")).listing()
    assert listing.path == ["15970.jpg", "39386.jpg", "59263.jpg"]
    assert listing.classes == ["Jeans", "Shirts", "Watches"]
    assert listing.label.tolist() == [1, 0, 2]
    assert listing.captions is not None
    assert listing.captions[1] == ("Peter England Men Party, Blue, Jeans",)
    assert listing.rejected == [
        ("styles.csv:5", "expected 10 columns, found 4"),
        ("styles.csv:7", "no caption"),
        ("39403", "cannot be read (No such file or directory)"),
    ]


def test_the_class_may_be_another_column(tmp_path: Path) -> None:
    paint_all(tmp_path / "images", {"15970.jpg": 10, "39386.jpg": 20, "59263.jpg": 30})
    (tmp_path / "styles.csv").write_text("\n".join(STYLES.splitlines()[:4]))
    source = opened(captions(tmp_path / "styles.csv", label="gender"))
    assert source.index.classes == ["Men", "Women"]
    with pytest.raises(BadInput, match=r"no column 'gendre', did you mean 'gender'"):
        CaptionsSource(captions(tmp_path / "styles.csv", label="gendre")).listing()


def test_celeba_has_a_text_of_several_captions_an_image(tmp_path: Path) -> None:
    paint_all(tmp_path / "images", {f"{i}.jpg": 20 * i for i in (0, 2, 10)})
    (tmp_path / "celeba-caption").mkdir()
    for i in (0, 2, 10):
        (tmp_path / "celeba-caption" / f"{i}.txt").write_text(f"She is {i}.\nShe smiles.\n\n")
    (tmp_path / "celeba-caption" / "readme.md").write_text("x")
    listing = CaptionsSource(captions(tmp_path / "celeba-caption", test_every=3)).listing()
    assert listing.path == ["0.jpg", "2.jpg", "10.jpg"]
    assert listing.captions == [(f"She is {i}.", "She smiles.") for i in (0, 2, 10)]
    assert listing.classes == ["all"]
    assert listing.split == ["train", "train", "test"]


def test_jsonl_takes_one_caption_or_a_list_and_joins_lines_of_one_image(folder: Path) -> None:
    rows: list[Any] = [
        {"image": "a/1.png", "captions": ["one", " two "], "label": "x"},
        {"image": "b/1.png", "captions": "alone", "label": "y", "split": "test"},
        {"image": "a/1.png", "captions": "three", "label": "x"},
        {"image": "a/2.png", "captions": [], "label": "x"},
        {"image": "a/2.png", "captions": ["four"], "label": None},
        ["not", "an", "object"],
    ]
    file = folder / "captions.jsonl"
    file.write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    listing = CaptionsSource(captions(file)).listing()
    assert listing.path == ["a/1.png", "b/1.png"]
    assert listing.captions == [("one", "two", "three"), ("alone",)]
    assert listing.split == ["train", "test"]
    assert [path for path, _ in listing.rejected] == [f"captions.jsonl:{n}" for n in (6, 7, 4, 5)]


def test_an_image_of_two_classes_is_refused(folder: Path) -> None:
    file = folder / "c.jsonl"
    rows = [{"image": "a/1.png", "caption": "x", "label": label} for label in ("one", "two")]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadInput, match=r"c\.jsonl:2: a/1\.png has another class or split"):
        CaptionsSource(captions(file)).listing()


def test_a_quote_that_swallows_the_table_is_told(folder: Path) -> None:
    (folder / "t.csv").write_text('image,caption\na/1.png,"' + "x,y\n" * 50_000)
    with pytest.raises(BadInput, match=r"t\.csv:\d+: not a table \(field larger .*; look for a stray quote"):
        CaptionsSource(captions(folder / "t.csv")).listing()


def test_a_table_without_captions_is_refused_and_its_columns_told(folder: Path) -> None:
    (folder / "t.csv").write_text("image,words\na/1.png,x\n")
    with pytest.raises(BadInput, match=r"t\.csv: no caption among image, words; name it by `caption`"):
        CaptionsSource(captions(folder / "t.csv")).listing()
    assert reds(opened(captions(folder / "t.csv", caption="words"))) == [10]
