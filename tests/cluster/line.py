"""The tiny line in a clone of its own, carried out as a user would: `snakemake --profile slurm …`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.slurm import wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CLONED = ["Snakefile", "slurm", "workflow", "config", "envs"]
TYPED = ["--profile", "slurm", "--configfile", "config/tiny.yaml", "--set-scatter", "extract=2", "generate=1"]
# By default Snakemake first asks after jobs when 40 seconds have passed; here they have long ended.
IMPATIENT = [
    *[sys.executable, "-P", str(Path(__file__).parent / "impatient.py"), *TYPED],
    *["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"],
]


class Snakemake:
    """A Snakemake that runs in the background. It dies with the tests; its jobs go on."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], said: Path) -> None:
        self._said = said
        with said.open("w") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=environment,
            )

    def said(self) -> str:
        """All it has told so far."""
        return self._said.read_text()

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL: it can clear up nothing."""
        self._process.kill()
        self._process.wait()

    def ends(self) -> int:
        """Its exit status, waited for."""
        return self._process.wait(1800)

    def ends_well(self) -> str:
        """What it has told, when it is through and everything is made."""
        assert self.ends() == 0, self.said()
        return self.said()


class Line:
    """A clone in `folder`; as a context, it ends every Snakemake that was started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Snakemake] = []  # in the order of their starting
        folder.mkdir(exist_ok=True)
        for name in CLONED:
            source = ROOT / name
            if source.is_symlink() or source.is_file():
                shutil.copy2(source, folder / name, follow_symlinks=False)
            else:
                shutil.copytree(source, folder / name, symlinks=True)

    def take_over(self, finished: "Line", *, without: str) -> None:
        """The results of another clone, but for one folder of them, as if that were still to do."""
        for name in ("results", ".snakemake"):
            shutil.copytree(finished.folder / name, self.folder / name, symlinks=True)
        shutil.rmtree(self.folder / without)

    def start_locally(self, *words: str) -> Snakemake:
        """Starts the line by the same profile without Slurm."""
        here = ["--executor", "local", "--cores", str(os.cpu_count())]
        return self._start([str(BIN / "snakemake"), *TYPED, *here, *words])

    def start(self, *words: str) -> Snakemake:
        """Starts the line as Slurm's jobs, and asks after them every second."""
        return self._start([*IMPATIENT, *words])

    def _start(self, command: list[str]) -> Snakemake:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "home"),
        }
        said = self.folder / f"snakemake-{len(self.started)}.txt"
        self.started.append(Snakemake(command, self.folder, environment, said))
        return self.started[-1]

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *error: object) -> None:
        for snakemake in self.started:
            snakemake.kill()
        # Of a job that is put back, `proctrack/linuxproc` leaves the Snakemake of its batch script behind.
        subprocess.run(["pkill", "-KILL", "-f", f"{self.folder}/Snakefile"], check=False)

    def suspend_a_share(self, orders: Path) -> dict[str, Any]:
        """Suspends the first share of an extraction in mid-work; returns what the writer's mark tells.

        Some of its parts are written then, and others are not. Slurm wakes the processes that it ends.
        """
        mark = wait_for(lambda: _mark(self.folder / orders), f"{orders} to begin", every=0.01)
        first = f"state/*/orders-{0:09d}-*.parquet"
        wait_for(lambda: any((self.folder / orders).glob(first)), f"a part of {orders}", every=0.002)
        os.kill(mark["pid"], signal.SIGSTOP)
        assert _mark(self.folder / orders).get("pid") == mark["pid"], "the work was done too soon"
        return mark

    def status(self, folder: str) -> dict[str, Any]:
        """What `oarpipe status` tells of one folder of results."""
        command = [str(BIN / "oarpipe"), "status", "results/tiny", "--json"]
        told = subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, check=True)
        return next(row for row in json.loads(told.stdout) if row["folder"] == folder)

    def slurm_logs(self, job: str = "*") -> str:
        """What jobs have written, or one of them."""
        return "".join(log.read_text() for log in self.folder.glob(f"results/logs/slurm/*/*/{job}.log"))

    def digests(self) -> dict[str, str]:
        """What every folder of results holds, by its receipt; reports tell the time, so they are left out."""
        results = self.folder / "results" / "tiny"
        return {
            str(file.parent.relative_to(results)): json.loads(file.read_text())["digest"]
            for file in sorted(results.rglob("receipt.json"))
            if "reports" not in file.parts
        }


def _mark(orders: Path) -> dict[str, Any]:
    """What the writer of the first share tells of itself; nothing if there is none."""
    try:
        mark: dict[str, Any] = json.loads((orders / ".writer.1-of-2.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return mark
