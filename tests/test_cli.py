"""The front door: what it prints, and how it says no."""

import errno
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from oarpipe import cli
from oarpipe.arguments import TABLE_OF, parser
from oarpipe.cli import command, main, overview
from oarpipe.config.book import load_book
from oarpipe.errors import BadInput, IncompleteData

TINY = Path(__file__).parent.parent / "config" / "tiny.yaml"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The recipe file of the tiny book's dataset."""
    file = tmp_path / "digits.yaml"
    file.write_text(load_book([TINY]).recipe("datasets", "digits", 0).text())
    return file


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Puts a stage that only fails behind every verb."""

    def index(recipe: object, *, out: Path) -> None:
        raise error

    original = command("index")
    index.__annotations__ = original.__annotations__
    monkeypatch.setattr(cli, "command", lambda verb: index)


def test_the_overview_has_every_verb_with_a_line() -> None:
    lines = overview().splitlines()
    for verb in TABLE_OF:
        line = next(line for line in lines if line.split()[:1] == [verb])
        assert len(line.split()) > 2


def test_help_needs_no_torch() -> None:
    code = "import sys; from oarpipe.cli import main; main(['--help']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("words", [["show", str(TINY)], ["--help"]])
def test_output_that_nobody_reads_on_ends_a_command_without_a_word(words: list[str]) -> None:
    """As `| head` does when it has seen enough; 141 is what a shell says of `yes` then."""
    with subprocess.Popen(
        [sys.executable, "-m", "oarpipe", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout
        assert run.stderr
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


def test_another_broken_pipe_is_a_bug(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, BrokenPipeError(errno.EPIPE, "of a worker"))
    assert main(["index", "--recipe", str(recipe), "--out", "x"]) == 1
    assert "this is a bug" in capfd.readouterr().err


def test_hyphens_and_underscores_are_the_same_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["merge-orders", "--help"])
    assert stop.value.code == 0
    assert "oarpipe merge_orders" in capsys.readouterr().out


def test_lists_and_shards_are_read_as_such(recipe: Path) -> None:
    given = parser("generate", command("generate")).parse_args(
        shlex.split("--recipe r --model m --tokenizer t --orders a b --shard 2-of-3 --out o")
    )
    assert given.orders == [Path("a"), Path("b")]
    assert (given.shard.index, given.shard.count) == (2, 3)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tokenise"], "did you mean 'tokenize'?"),
        (["index"], "--recipe, --out"),
        (["index", "--recipe", "nowhere.yaml", "--out", "x"], "nowhere.yaml: not readable"),
        (["generate", "--shard", "4-of-3"], "expected K-of-N"),
        (["show", "nowhere.yaml"], "nowhere.yaml: no such file"),
        (["show", str(TINY), "models.anny"], "did you mean 'any'?"),
        (["show", str(TINY), "model.any"], "did you mean 'models'?"),
        (["show", str(TINY), "--seed", "7"], "seed 7"),
        (["show", str(TINY), "--recipe"], "--recipe needs an entry"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_2(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (IncompleteData("tokens.zarr: shard 3 is missing"), "tokens.zarr: shard 3 is missing"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/model"),
            "results/model: the disk is full",
        ),
        (
            PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results/x"),
            "results/x: permission denied",
        ),
        (BadInput("label 12: expected 0 to 9"), "label 12"),
    ],
)
def test_a_failing_stage_tells_one_line_here_and_in_its_log(
    error: Exception,
    says: str,
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing(monkeypatch, error)
    log = tmp_path / "logs" / "index.log"
    assert main(["index", "--recipe", str(recipe), "--out", str(tmp_path), "--log", str(log)]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert says in log.read_text()


def test_a_bug_keeps_its_traceback_here_and_in_the_log(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, ZeroDivisionError("ours"))
    log = tmp_path / "index.log"
    assert main(["index", "--recipe", str(recipe), "--out", str(tmp_path), "--log", str(log)]) == 1
    for text in (capsys.readouterr().err, log.read_text()):
        assert "Traceback" in text
        assert "ZeroDivisionError: ours" in text


def test_an_interrupt_leaves_no_trace(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(monkeypatch, KeyboardInterrupt())
    assert main(["index", "--recipe", str(recipe), "--out", str(tmp_path)]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_full_disk_is_one_line_that_names_the_file(recipe: Path, tmp_path: Path) -> None:
    """For real: a process that may not write more than 2 KiB a file."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "from oarpipe.cli import main; sys.exit(main())"
    )
    words = ["index", "--recipe", str(recipe), "--out", str(tmp_path / "out")]
    run = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert f"{tmp_path}/out/index.parquet: the file would be larger" in run.stderr
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["state"]  # how it ended


def test_show_prints_a_recipe_that_a_stage_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(TINY), "models.any", "--recipe", "models.any.train.steps=7"]) == 0
    assert "steps: 7" in capsys.readouterr().out


def test_show_tells_where_the_reports_lie(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(TINY), "reports"]) == 0
    assert capsys.readouterr().out == "reports.tiny: results/tiny/reports/tiny/report.html\n"
