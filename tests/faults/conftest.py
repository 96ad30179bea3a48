"""The failing disk, and work for it."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from tests.faults.disk import Disk
from tests.faults.line import Work, works


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A disk that fails when told to; where it cannot be built, the tests are told as not run."""
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("NO FAILING DISK, NOT RUN: tests/faults/disk.c needs Linux and gcc")
    made = Disk(tmp_path_factory.mktemp("disk"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> list[Work]:
    """What all stages are to do."""
    return works(tmp_path_factory.mktemp("shelf"))
