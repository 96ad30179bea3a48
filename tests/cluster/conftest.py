"""The cluster of the tests, and what the line makes where nothing disturbs it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.line import Line
from tests.cluster.slurm import Cluster, NotHere


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running Slurm; where none can be had, the tests are told as not run, with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="oarpipe-slurm-", dir="/tmp"))  # short, and readable by daemons
    started = Cluster(folder)
    try:
        try:
            started.start()
        except NotHere as reason:
            pytest.skip(f"NO CLUSTER, NOT RUN: {reason}")
        yield started
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The tiny line, carried out by this profile without Slurm."""
    with Line(tmp_path_factory.mktemp("undisturbed")) as line:
        line.start_locally().ends_well()
        return line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """A clone of its own, in which nothing has run yet."""
    with Line(tmp_path / "clone") as line:
        yield line
