"""Prints what this machine and this installation are, and what is unusual about them, or about a run."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from oarpipe import __version__

GIB = 2**30


def doctor(*, compare: Path | None = None, expect: Path | None = None) -> None:
    """Prints what is installed and what the machine offers, and marks what is unusual.

    oarpipe doctor --compare results/digits     where a run departs from what its book came to elsewhere
    oarpipe doctor --expect results/digits      makes this run what others are compared with

    Expected values lie in the clone, `config/expected/BOOK.yaml`; run it there.
    """
    if compare is not None or expect is not None:
        _look_at_runs(compare, expect)
        return
    found = [*_python(), *_packages(), *_torch(), *_torchvision(), *_machine(), *_programs()]
    for line, _ in found:
        print(line)
    unusual = [advice for _, advice in found if advice]
    print()
    for advice in unusual:
        print(f"unusual: {advice}")
    if not unusual:
        print("nothing unusual")


def _look_at_runs(compare: Path | None, expect: Path | None) -> None:
    from oarpipe.tools import expected

    if expect is not None:
        print(f"wrote {expected.expect(expect)}")
    if compare is None:
        return
    found = expected.departures(compare)
    if found is None:
        file = expected.FOLDER / f"{compare.resolve().name}.yaml"
        print(f"{compare}: nothing is expected of this book; there is no {file} here")
        return
    changed, told = found
    for folder in changed:
        print(f"changed  {folder}: its recipe is another than the one that was measured")
    for one in told:
        print(one.line())
    verdicts = [one.verdict for one in told]
    print(", ".join(f"{verdicts.count(word)} {word}" for word in ("inside", "outside", "missing")))


Finding = tuple[str, str | None]


def _python() -> Iterator[Finding]:
    in_venv = sys.prefix != sys.base_prefix
    yield (
        f"oarpipe      {__version__}, Python {platform.python_version()} in {sys.prefix}",
        None if in_venv or "CONDA_PREFIX" in os.environ else "Python runs outside a virtual environment",
    )


def _packages() -> Iterator[Finding]:
    """The packages oarpipe asks for, against what it asks and, in a clone, against constraints.txt."""
    asked = [Requirement(text) for text in requires("oarpipe") or []]
    pinned = _constraints(Path("constraints.txt"))
    for requirement in asked:
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield (
                f"  {requirement.name:<11}missing",
                f"{requirement.name} is missing; run `make demo` again",
            )
            continue
        advice = None
        if not requirement.specifier.contains(installed, prereleases=True):
            advice = f"{requirement} is needed, {installed} is installed"
        elif requirement.name in pinned and not pinned[requirement.name].specifier.contains(installed):
            advice = f"tested with {pinned[requirement.name]}, {installed} is installed"
        yield (f"  {requirement.name} {installed}", advice)


def _constraints(file: Path) -> dict[str, Requirement]:
    """The pins of a constraints file that hold on this Python; none if there is no such file."""
    lines = file.read_text().splitlines() if file.is_file() else []
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {pin.name.lower(): pin for pin in pins if not pin.marker or pin.marker.evaluate()}


def _torch() -> Iterator[Finding]:
    if importlib.util.find_spec("torch") is None:
        return
    import torch

    wanted, threads = os.environ.get("OMP_NUM_THREADS"), torch.get_num_threads()
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    yield (
        f"torch        {torch.__version__}, {threads} threads (OMP_NUM_THREADS {wanted or 'unset'})",
        f"torch would use {threads} threads on {cores} cores" if threads > cores else None,
    )
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield (f"GPU {index}        {facts.name}, {facts.total_memory / GIB:.0f} GiB", None)
    else:
        has_driver = shutil.which("nvidia-smi") is not None
        yield (
            "GPU          none that torch can use; everything runs on the CPU",
            "there is an NVIDIA driver, but this torch cannot use it; install a CUDA build"
            if has_driver
            else None,
        )


def _torchvision() -> Iterator[Finding]:
    """torchvision, built for another torch, does not import and takes torch-fidelity with it."""
    if importlib.util.find_spec("torchvision") is None:
        yield ("torchvision  missing", "torchvision is missing; torch-fidelity needs it")
        return
    probe = [sys.executable, "-c", "import torchvision"]
    result = subprocess.run(probe, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        yield (f"torchvision  {version('torchvision')}, imports", None)
    else:
        last_line = (result.stderr.strip().splitlines() or ["no message"])[-1]
        yield (
            f"torchvision  {version('torchvision')}, built for another torch ({last_line}); "
            "oarpipe registers the missing operators itself",
            None,
        )


def _machine() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    yield (f"machine      {platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", None)
    yield (
        f"memory       {memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free",
        "less than 2 GiB of memory are free; the demo needs about 1 GiB a job"
        if memory.available < 2 * GIB
        else None,
    )
    disk = shutil.disk_usage(Path.cwd())
    yield (
        f"disk here    {disk.free / GIB:.1f} of {disk.total / GIB:.1f} GiB free",
        "less than 2 GiB of disk are free" if disk.free < 2 * GIB else None,
    )


def _programs() -> Iterator[Finding]:
    """Programs beside Python: none is needed for the demo."""
    for name, use in (
        ("sbatch", "Slurm"),
        ("chromium", "the browser test of the report"),
        ("conda", "--sdm conda"),
    ):
        place = shutil.which(name)
        yield (f"{name:<13}{place or f'not found; only needed for {use}'}", None)
