"""Snakemake around the stages: what it makes, in which order, and what a change makes anew.

A stand-in for `oarpipe` answers within milliseconds: it checks the flags against the real command
line and writes receipts whose content follows from what it read.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
TINY = ROOT / "config" / "tiny.yaml"
BIN = Path(sys.executable).parent

STAND_IN = """#!{python} -S
import hashlib, sys
from pathlib import Path

verb, flags = sys.argv[1], {{}}
for word in sys.argv[2:]:
    if word.startswith("--"):
        words = flags.setdefault(word[2:], [])
    else:
        words.append(word)
out, told = Path(flags.pop("out")[0]), Path(flags.pop("log")[0])
shard = flags.pop("shard", None)
for flag in ("runtime", "gpus", "nodes"):
    flags.pop(flag, None)
told.write_text("done\\n")
read = b"".join(Path(file).read_bytes() for files in flags.values() for file in files)
receipt = out / "shards" / f"{{shard[0]}}.json" if shard else out / "receipt.json"
names = {{"evaluate": "metrics.json", "information": "information.json", "report": "report.html"}}
for file in [receipt, *([out / names[verb]] if verb in names else [])]:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(verb + hashlib.sha256(read).hexdigest())
"""


class Line:
    """The workflow in a folder of its own, with the stand-in first on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        stand_in = folder / "bin" / "oarpipe"
        stand_in.parent.mkdir(parents=True)
        stand_in.write_text(STAND_IN.format(python=sys.executable))
        stand_in.chmod(0o755)

    def start(self, *words: str, book: Path = TINY) -> subprocess.Popen[str]:
        command = [str(BIN / "snakemake"), "-s", str(ROOT / "Snakefile"), "-d", str(self.folder)]
        path = f"{self.folder / 'bin'}:{BIN}:{os.environ['PATH']}"
        return subprocess.Popen(
            [*command, "--configfile", str(book), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PATH": path, "XDG_CACHE_HOME": str(self.folder / "cache")},
        )

    def snakemake(self, *words: str, book: Path = TINY) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, book=book)
        said, complained = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, said, complained)

    def jobs(self, *words: str, book: Path = TINY) -> Counter[str]:
        """How many jobs of each rule a dry run announces."""
        run = self.snakemake("-n", *words, book=book)
        assert run.returncode == 0, run.stderr
        rows = re.findall(r"^(\w+) +(\d+)$", run.stdout + run.stderr, flags=re.MULTILINE)
        return Counter({rule: int(n) for rule, n in rows if rule not in ("total", "all", "everything")})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The tiny line, carried out once by the stand-in."""
    line = Line(tmp_path_factory.mktemp("line"))
    run = line.snakemake("--cores", "2", "--profile", str(ROOT / "workflow/profiles/local"))
    assert run.returncode == 0, run.stderr
    yield line
    shutil.rmtree(line.folder)


EVERYTHING = {
    **{"index": 1, "train_features": 1, "train_tokenizer": 1, "tokenize": 1, "train": 1, "distill": 2},
    **{
        "extract": 4,
        "merge_orders": 2,
        "train_order_head": 1,
        "generate": 4,
        "merge_samples": 4,
        "search": 2,
    },
    **{"features": 1, "evaluate": 1, "information": 1, "report": 1},
}


def test_a_fresh_clone_announces_every_stage(tmp_path: Path) -> None:
    assert Line(tmp_path).jobs() == EVERYTHING


def test_a_finished_line_has_nothing_to_do(finished: Line) -> None:
    run = finished.snakemake("-n")
    assert "Nothing to be done" in run.stdout + run.stderr


def test_a_changed_temperature_makes_anew_what_follows_and_nothing_before(finished: Line) -> None:
    changed = finished.jobs("--config", "set=samples.mean_mean.temperature=0.9")
    assert changed == {"generate": 1, "merge_samples": 1, "features": 1, "evaluate": 1, "report": 1}


def test_a_changed_temperature_of_a_searched_arm_also_searches_anew(finished: Line) -> None:
    changed = finished.jobs("--config", "set=samples.greedy_greedy.temperature=0.9")
    assert changed == {
        "generate": 1,
        "merge_samples": 1,
        "search": 1,
        "features": 1,
        "evaluate": 1,
        "report": 1,
    }


def test_a_new_arm_is_one_entry(finished: Line, tmp_path: Path) -> None:
    book = tmp_path / "more.yaml"
    model = "{like: any, init: any, order: {kind: rule, name: raster}}"
    book.write_text(f"base: {TINY}\nsamples:\n  new: {{like: any_random, model: {model}}}\n")
    assert finished.jobs(book=book) == {
        **{"train": 1, "generate": 1, "merge_samples": 1, "features": 1, "evaluate": 1, "report": 1}
    }


def test_an_arm_whose_places_are_predicted_trains_a_head_first(finished: Line, tmp_path: Path) -> None:
    book = tmp_path / "predicted.yaml"
    predicted = "{select: predicted, head: wide}"
    book.write_text(
        f"base: {TINY}\n"
        "order_heads:\n  wide: {like: head, width: 256}\n"
        f"samples:\n  wide_predicted: {{like: any_random, policy: {predicted}}}\n"
        f"orders:\n  predicted: {{like: greedy_test, policy: {predicted}}}\n"
        "information:\n  main: {orders: {predicted: {kind: table, orders: predicted}}}\n"
        "searches:\n  best: {samples: [any_random, greedy_greedy, wide_predicted]}\n"
    )
    assert finished.jobs(book=book) == {
        **{"train_order_head": 1, "extract": 2, "merge_orders": 1, "generate": 1, "merge_samples": 1},
        **{"search": 3, "features": 1, "evaluate": 1, "information": 1, "report": 1},
    }
    line = Line(tmp_path / "line")
    run = line.snakemake("--cores", "2", book=book)
    assert run.returncode == 0, run.stderr


def test_a_published_model_is_imported_and_trains_nothing(finished: Line, tmp_path: Path) -> None:
    book = tmp_path / "published.yaml"
    raster = "{select: follow, order: {kind: rule, name: raster}}"
    book.write_text(
        f"base: {TINY}\n"
        "models:\n  llamagen: {kind: llamagen, tokens: digits, weights: c2i_B_256.pt}\n"
        f"samples:\n  baseline: {{model: llamagen, count: 20, policy: {raster}}}\n"
        "information:\n  main: {models: [any, greedy]}\n"
    )
    assert finished.jobs(book=book) == {
        **{"import_model": 1, "generate": 1, "merge_samples": 1, "features": 1, "evaluate": 1, "report": 1}
    }


def test_snakemakes_own_report_holds_the_page_and_the_numbers(finished: Line) -> None:
    run = finished.snakemake("--report", "all.zip")
    assert run.returncode == 0, run.stderr
    with ZipFile(finished.folder / "all.zip") as packed:
        held = [packed.read(name).decode() for name in packed.namelist()]
        menu = packed.read("all/report.html").decode()
    written = re.search(r"var categories = (.*);", menu)
    assert written
    categories = json.loads(written[1])
    listed = {name: file for name, (file,) in ((n, files["Other"]) for n, files in categories.items())}
    assert listed == {
        "Report": "results/tiny/reports/tiny/report.html",
        "Numbers": "results/tiny/seed-0/evaluations/main/metrics.json",
    }
    assert all((finished.folder / file).read_text() in held for file in listed.values())
    assert re.search(r"The report of <tt[^>]*>reports.tiny</tt>", menu)  # its caption, typeset


def test_a_touched_receipt_wakes_nobody(finished: Line) -> None:
    for receipt in finished.folder.rglob("receipt.json"):
        receipt.touch()
    assert not finished.jobs()


def test_another_number_of_shards_extracts_and_never_trains_first(finished: Line) -> None:
    changed = finished.jobs("--set-scatter", "extract=4")
    assert changed["extract"] == 8
    assert not changed["train"]
    assert not changed["tokenize"]


def test_every_seed_has_its_own_line_but_shares_images_and_features(tmp_path: Path) -> None:
    jobs = Line(tmp_path).jobs("--config", "set=seeds=[0,1,2]")
    shared = {"index", "train_features", "report"}
    assert jobs == {rule: n if rule in shared else 3 * n for rule, n in EVERYTHING.items()}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set=models.any.train.stepz=3"], "models.any.train.stepz: unknown key, did you mean 'steps'?"),
        (["temperature=3"], "the only key is 'set'"),
        (["set=nonsense"], "expected key=value"),
    ],
)
def test_a_mistake_in_the_book_is_told_without_a_traceback(
    words: list[str], says: str, tmp_path: Path
) -> None:
    run = Line(tmp_path).snakemake("-n", "--config", *words)
    assert run.returncode != 0
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results").exists()


def test_every_announced_command_is_one_that_oarpipe_understands(tmp_path: Path) -> None:
    from oarpipe.cli import command, parser

    run = Line(tmp_path).snakemake("-n", "-p", "--config", "set=seeds=[0,1]")
    commands = re.findall(r"oarpipe (\w+) (.+)$", run.stdout + run.stderr, flags=re.MULTILINE)
    assert len(commands) > 20
    for verb, words in commands:
        parser(verb, command(verb)).parse_args(words.split())


def test_the_slurm_profile_is_found_from_the_root_of_a_clone(tmp_path: Path) -> None:
    assert (ROOT / "slurm" / "partitions.yaml").is_file()
    jobs = Line(tmp_path).jobs("--profile", "slurm")
    assert (jobs["extract"], jobs["generate"]) == (64, 64)


def test_jobs_find_oarpipe_where_no_environment_is_activated(tmp_path: Path) -> None:
    receipt = "results/tiny/seed-0/datasets/digits/receipt.json"
    command = [
        BIN / "snakemake",
        "-s",
        ROOT / "Snakefile",
        "-d",
        tmp_path,
        "--configfile",
        TINY,
        "-c1",
        receipt,
    ]
    environment = {**os.environ, "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / receipt).is_file()


def test_spawned_jobs_read_the_same_book(tmp_path: Path) -> None:
    """Slurm's jobs are Snakemakes of their own; Snakemake hands them the book and its changes."""
    line = Line(tmp_path)
    target = "results/tiny/seed-0/datasets/digits/receipt.json"
    words = ["--config", "set=datasets.digits.resolution=32", "--cores", "1"]
    first = line.snakemake(*words, target)
    spawned = line.snakemake(*words, "--mode", "subprocess", "--force", target)
    assert first.returncode == spawned.returncode == 0, first.stderr + spawned.stderr
    recipes = list((tmp_path / "results/tiny/recipes/datasets").iterdir())
    assert len(recipes) == 1
    assert "resolution: 32" in recipes[0].read_text()


def test_published_entries_are_imported_and_the_others_made(tmp_path: Path) -> None:
    book = tmp_path / "book.yaml"
    book.write_text(
        """
name: published
datasets: {digits: {kind: digits, resolution: 16}}
tokenizers: {vq: {kind: llamagen, weights: vq.pt}}
tokens:
  digits: {dataset: digits, tokenizer: vq}
  codes: {kind: randar, path: codes, tokenizer: vq}
models:
  randar: {kind: randar, tokens: codes, weights: {hub: some/one, file: x.safetensors}}
"""
    )
    jobs = Line(tmp_path / "line").jobs(book=book)
    assert jobs == dict.fromkeys(
        ["index", "import_tokenizer", "tokenize", "import_tokens", "import_model"], 1
    )


def test_lint_and_snakefmt_find_nothing() -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(ROOT / ".snakemake" / "cache")}
    words = [str(BIN / "snakemake"), "--lint", "--configfile", str(TINY)]
    lint = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    form = subprocess.run(
        [str(BIN / "snakefmt"), "--check", "Snakefile", "workflow"],
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert form.returncode == 0, form.stderr
