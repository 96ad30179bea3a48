"""`oarpipe plan`: what a book costs, from the book alone."""

import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from oarpipe.cli import main
from oarpipe.config.tables import TABLES
from oarpipe.tools.gpus import GPUS
from oarpipe.tools.plan import GPUName
from tests.test_floors import HEAVY, modules_after

ROOT = Path(__file__).parents[2]
TRAIN = 1_281_167

BOOK: dict[str, Any] = {
    "name": "imagenet",
    "datasets": {"imagenet": {"kind": "tar", "path": "train.tar", "test_path": "val.tar"}},
    "features": {"inception": {"kind": "inception", "weights": "inception.pth"}},
    "tokenizers": {"vq16": {"kind": "llamagen", "weights": "vq_ds16_c2i.pt"}},
    "tokens": {"adm": {"dataset": "imagenet", "tokenizer": "vq16", "views": "adm"}},
    "models": {
        "xl": {"kind": "randar", "tokens": "adm", "weights": "randar_0.7b_llamagen_360k.safetensors"},
        "tuned": {
            "tokens": "adm",
            "preset": "XL",
            "init": "xl",
            "order": {"kind": "table", "orders": "greedy"},
            "train": {"steps": 5000, "batch": 768, "microbatch": 16, "precision": "bfloat16"},
        },
    },
    "orders": {"greedy": {"model": "xl", "tokens": "adm"}},
    "samples": {
        "random": {"model": "tuned", "policy": {"select": "follow", "order": {"kind": "random"}}},
        "greedy": {"model": "tuned", "policy": {"select": "greedy"}, "guidance": {"scale": 2.0}},
    },
    "searches": {
        "best": {
            "samples": ["random", "greedy"],
            "guidances": [1.0, 2.0],
            "count": 1000,
            "dataset": "imagenet",
            "features": "inception",
        }
    },
    "evaluations": {"fid": {"dataset": "imagenet", "features": "inception"}},
    "information": {"held_out": {"tokens": "adm", "orders": {"random": {"kind": "random"}}}},
    "reports": {"page": {"title": "t", "evaluation": "fid", "information": "held_out"}},
}


class Planned:
    """Runs the command on a book, in a folder without any data."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.capsys = folder, capsys

    def text(self, book: dict[str, Any], *words: str, gpu: str = "h100") -> str:
        (self.folder / "book.yaml").write_text(yaml.safe_dump(book))
        assert main(["plan", str(self.folder / "book.yaml"), "--gpu", gpu, *words]) == 0
        return self.capsys.readouterr().out

    def facts(self, book: dict[str, Any], *words: str, gpu: str = "h100") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text(book, "--json", *words, gpu=gpu))
        return found

    def entries(self, book: dict[str, Any], *words: str, gpu: str = "h100") -> dict[str, dict[str, Any]]:
        return {f"{e['table']}.{e['name']}": e for e in self.facts(book, *words, gpu=gpu)["entries"]}


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Planned:
    monkeypatch.chdir(tmp_path)
    return Planned(tmp_path, capsys)


def changed(**tables: Any) -> dict[str, Any]:
    """The book with some options of some entries changed."""
    book = deepcopy(BOOK)
    for table, entries in tables.items():
        for name, options in entries.items():
            book[table][name] = {**book[table].get(name, {}), **options}
    return book


BOOKS = [book for book in sorted((ROOT / "config").rglob("*.yaml")) if book.parent.name != "expected"]


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)
def test_every_entry_of_a_shipped_book_has_its_line_on_a_hundred_columns(
    book: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", str(book), "--gpu", "a100", "--gpus", "2"]
    assert main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    for entry in facts["entries"]:
        assert any(line.startswith(f"  {entry['name']} ") and entry["verb"] in line for line in lines)
    assert [line for line in lines if line in TABLES] == list(
        dict.fromkeys(e["table"] for e in facts["entries"])
    )


def test_imagenets_extraction_and_tuning_cost_what_others_computed(planned: Planned) -> None:
    entries = planned.entries(BOOK)
    assert entries["orders.greedy"]["tflop"] == pytest.approx(2 * TRAIN * 51.3, rel=0.05)
    assert entries["models.tuned"]["tflop"] == pytest.approx(5000 * 768 * 2.36, rel=0.05)
    assert entries["samples.random"]["tflop"] == pytest.approx(50_000 * (0.78 + 0.126 * 2), rel=0.1)
    assert entries["tokens.adm"]["disk_bytes"] == pytest.approx(1.31e9 + 50_000 * 2 * 512, rel=0.01)
    assert entries["models.xl"]["disk_bytes"] == 4 * 774_700_800
    assert entries["models.xl"]["verb"] == "import_model"


def test_gpu_hours_are_arithmetic_over_the_rate_of_its_precision(planned: Planned) -> None:
    half = planned.entries(BOOK, "--mfu", "0.2")
    for name, rate in (("models.tuned", 989), ("orders.greedy", 67)):
        assert half[name]["gpu_hours"] == pytest.approx(half[name]["tflop"] / (0.2 * rate) / 3600)
    assert planned.entries(BOOK)["orders.greedy"]["gpu_hours"] == half["orders.greedy"]["gpu_hours"] / 2
    slower = planned.entries(BOOK, "--mfu", "0.2", gpu="a100")
    assert slower["models.tuned"]["gpu_hours"] > half["models.tuned"]["gpu_hours"]


def test_walks_in_bfloat16_are_faster_and_smaller_but_what_is_beside_them_stays(planned: Planned) -> None:
    bf16 = {"precision": "bfloat16"}
    before = planned.entries(BOOK)
    after = planned.entries(changed(orders={"greedy": bf16}, samples={"random": bf16}))
    for name in ("orders.greedy", "samples.random"):
        assert after[name]["tflop"] == before[name]["tflop"]
        assert after[name]["memory_bytes"] < 0.7 * before[name]["memory_bytes"]
    assert after["orders.greedy"]["tflop_bfloat16"] == after["orders.greedy"]["tflop"]
    decoding = after["samples.random"]["tflop"] - after["samples.random"]["tflop_bfloat16"]
    assert decoding == pytest.approx(50_000 * 0.126 * 2, rel=0.1)
    search = after["searches.best"]
    assert 0 < search["tflop_bfloat16"] < 0.5 * search["tflop"]  # one arm of two, the cheaper one


def test_seeds_multiply_everything_but_what_they_share(planned: Planned) -> None:
    one, three = planned.entries(BOOK), planned.entries(BOOK, "seeds=[0,1,2]")
    for name, entry in one.items():
        times = 1 if entry["table"] in ("datasets", "features", "reports") else 3
        assert three[name]["tflop"] == pytest.approx(times * entry["tflop"])
        assert three[name]["jobs"] == times * entry["jobs"]


def test_totals_are_sums_and_jobs_are_cut_by_gpus(planned: Planned) -> None:
    facts = planned.facts(BOOK, "--gpus", "4")
    for key in ("tflop", "gpu_hours", "disk_bytes", "jobs"):
        assert facts["total"][key] == pytest.approx(sum(entry[key] for entry in facts["entries"]))
    jobs = {f"{e['table']}.{e['name']}": e["jobs"] for e in facts["entries"]}
    assert (jobs["orders.greedy"], jobs["samples.random"], jobs["searches.best"]) == (5, 5, 2)
    assert (jobs["evaluations.fid"], jobs["models.tuned"]) == (2, 1)


def test_guidance_and_asking_everywhere_cost_more(planned: Planned) -> None:
    plain = changed(samples={"greedy": {"guidance": {"scale": 1.0}}})
    both = changed(samples={"greedy": {"guidance": {"scale": 2.0, "places": "guided"}}})
    follow, greedy, guided, twice = (
        planned.entries(book)[f"samples.{name}"]["tflop"]
        for book, name in ((BOOK, "random"), (plain, "greedy"), (BOOK, "greedy"), (both, "greedy"))
    )
    assert follow < greedy < guided < twice
    assert guided - greedy == pytest.approx(50_000 * 0.78, rel=0.05)  # a second walk, in a given order


def test_the_longest_chain_waits_for_extraction_and_then_for_tuning(planned: Planned) -> None:
    facts = planned.facts(BOOK)
    chain = facts["longest_chain"]
    assert chain[-1] in ("reports.page", "evaluations.fid", "searches.best")
    assert [c for c in chain if c in ("orders.greedy", "models.tuned")] == ["orders.greedy", "models.tuned"]
    assert facts["hours_at_least"] == pytest.approx(facts["total"]["gpu_hours"])  # on one GPU
    assert planned.facts(BOOK, "--gpus", "8")["hours_at_least"] < facts["hours_at_least"] / 4


def test_what_dominates_and_what_does_not_fit_is_told(planned: Planned) -> None:
    large = changed(models={"tuned": {"train": {**BOOK["models"]["tuned"]["train"], "microbatch": 128}}})
    text = " ".join(planned.text(large).split())
    assert "most: orders.greedy 9" in text
    assert "memory! more than the GPU's 80 GB, lower `train.microbatch`: models.tuned" in text
    assert "memory!" not in planned.text(BOOK, gpu="h200")


def test_extractions_are_cut_by_hours_where_jobs_a_gpu_would_be_longer(planned: Planned) -> None:
    def shares(*words: str) -> int:
        text = " ".join(planned.text(BOOK, *words).split())
        return int(text.partition("--set-scatter extract=")[2].split()[0])

    hours = planned.entries(BOOK)["orders.greedy"]["gpu_hours"]
    assert shares() == math.ceil(hours / 2)
    assert shares("--gpus", "2000") == 2000
    assert shares("--gpus", "400", "--images", "1000000000") == 10_000
    assert "--set-scatter" not in planned.text(BOOK, "--images", "1000")


def test_what_the_book_does_not_say_is_assumed_aloud_or_given(planned: Planned) -> None:
    assert planned.facts(BOOK)["assumed"] == [
        "datasets.imagenet: 1,281,167 images, as ImageNet's has; --images says otherwise",
        "datasets.imagenet: 50,000 test images, as ImageNet's has",
        "models.xl: size 0.7B, as its file is named",
    ]
    fewer = planned.entries(BOOK, "--images", "1000")
    assert fewer["orders.greedy"]["tflop"] == pytest.approx(2000 * 51.3, rel=0.05)


def test_a_folder_that_is_here_is_counted(planned: Planned) -> None:
    for i in range(30):
        (planned.folder / "pictures" / str(i % 3)).mkdir(parents=True, exist_ok=True)
        (planned.folder / "pictures" / str(i % 3) / f"{i}.png").touch()
    folder = deepcopy(BOOK)
    folder["datasets"]["imagenet"] = {"kind": "folder", "path": "pictures", "test_every": 10}
    assert planned.entries(folder)["orders.greedy"]["tflop"] == pytest.approx(27 * 2 * 51.3, rel=0.05)


def test_imported_codes_need_no_dataset_and_tell_their_count(planned: Planned) -> None:
    codes = {"kind": "rar", "path": "ten.jsonl", "tokenizer": "vq16", "views": 10, "count": 500}
    book = {**changed(information={"held_out": {"split": "train"}}), "tokens": {"adm": codes}}
    entries = planned.entries(book)
    assert entries["tokens.adm"]["verb"] == "import_tokens"
    assert entries["tokens.adm"]["disk_bytes"] == 500 * 10 * 256 * 2
    assert entries["orders.greedy"]["tflop"] == pytest.approx(5000 * 51.3, rel=0.05)


def test_classes_and_further_draws_cost_a_forward_pass_each(planned: Planned) -> None:
    def tflop(**options: Any) -> float:
        book = changed(information={"held_out": options})
        return float(planned.entries(book)["information.held_out"]["tflop"])

    one = tflop() / 50_000  # an image in one random order
    assert tflop(draws=4) == pytest.approx(4 * 50_000 * one, rel=1e-3)
    asked = tflop(classification={"count": 7, "orders": [1, 3]}) - tflop()
    assert asked == pytest.approx(7 * 1000 * 3 * one, rel=1e-3)
    few = tflop(classification={"count": 7, "orders": [1, 3], "shortlist": 10}) - tflop()
    assert few == pytest.approx(7 * (1000 + 2 * 10) * one, rel=1e-3)


def test_a_models_size_is_read_from_its_file_or_asked_for(
    planned: Planned, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = changed(models={"xl": {"weights": "mine.safetensors"}})
    (planned.folder / "book.yaml").write_text(yaml.safe_dump(unknown))
    command = ["plan", str(planned.folder / "book.yaml"), "--gpu", "h100"]
    assert main(command) == 2
    assert "models.xl: neither the book nor the name of mine.safetensors" in capsys.readouterr().err
    assert planned.entries(unknown, "--size", "L")["models.xl"]["disk_bytes"] == 4 * 342_912_000
    tensors = {f"layers.{i}.attention.wo.weight": np.zeros((32, 32), np.float32) for i in range(2)}
    save_file({**tensors, "tok_embeddings.weight": np.zeros((16384, 32), np.float32)}, "mine.safetensors")
    blocks = 2 * (4 * 32**2 + 3 * 32 * 256 + 64) + 32
    tables = (1001 + 2 * 16384 + 1) * 32
    assert planned.entries(unknown)["models.xl"]["disk_bytes"] == 4 * (blocks + tables)


@pytest.mark.parametrize(
    ("file", "parameters"),
    [
        ("c2i_B_256.pt", 110_888_448),
        ("c2i_XL_384.pt", 774_699_520),
        ("randar_0.3b_x.safetensors", 342_911_000),
    ],
)
def test_published_files_are_named_by_their_size(planned: Planned, file: str, parameters: int) -> None:
    book = {key: BOOK[key] for key in ("name", "datasets", "tokenizers", "tokens")}
    book["models"] = {"raster": {"kind": "llamagen", "tokens": "adm", "weights": file}}
    disk = planned.entries(book)["models.raster"]["disk_bytes"]
    assert disk == pytest.approx(4 * parameters, rel=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--gpu", "h1000"], "invalid choice: 'h1000'"),
        (["--gpu", "h100", "--mfu", "40"], "--mfu 40.0: expected a share"),
        (["--gpu", "h100", "--gpus", "0"], "--gpus 0: expected at least one"),
        (["--gpu", "h100", "--images", "-5"], "--images -5: expected at least one"),
        (["--gpu", "h100", "models"], "'models': expected changes to the book"),
        ([], "--gpu"),
    ],
)
def test_a_wrong_word_is_told(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(ROOT / "config/config.yaml"), *words]) == 2
    assert says in capsys.readouterr().err


def test_every_gpu_can_be_asked_for() -> None:
    assert set(get_args(GPUName)) == set(GPUS)


def test_a_plan_loads_nothing_heavy() -> None:
    book = str(ROOT / "config/config.yaml")
    run = f"oarpipe.cli.main(['plan', {book!r}, '--gpu', 'h100', '--json'])"
    quiet = "contextlib.redirect_stdout(io.StringIO())"
    assert not modules_after(f"import contextlib, io, oarpipe.cli\nwith {quiet}:\n    {run}") & HEAVY
