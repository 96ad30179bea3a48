"""The tiny line in a clone of its own, carried out as a user would: `snakemake --profile slurm …`."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CLONED = ["Snakefile", "slurm", "workflow", "config", "envs"]
TYPED = ["--profile", "slurm", "--configfile", "config/tiny.yaml"]
SCATTER = ["--set-scatter", "extract=4", "generate=2"]
# Users wait 40 seconds before they ask after a job; here it has long ended.
PATIENCE = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]


class Line:
    """A clone in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
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

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Snakemake in the background; it may be killed, its jobs then go on."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "home"),
        }
        return subprocess.Popen(
            [str(BIN / "snakemake"), *TYPED, *SCATTER, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=environment,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Snakemake to its end; what it said is in `stderr`."""
        process = self.start(*words)
        try:
            said, _ = process.communicate()
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, "", said)

    def start_on_cluster(self, *words: str) -> subprocess.Popen[str]:
        """`start`, by Slurm, asking after jobs often."""
        return self.start(*PATIENCE, *words)

    def run_on_cluster(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`run`, by Slurm, asking after jobs often."""
        return self.run(*PATIENCE, *words)

    def digests(self) -> dict[str, str]:
        """What every folder of results holds, by its receipt; reports tell the time, so they are left out."""
        results = self.folder / "results" / "tiny"
        return {
            str(file.parent.relative_to(results)): json.loads(file.read_text())["digest"]
            for file in sorted(results.rglob("receipt.json"))
            if "reports" not in file.parts
        }
