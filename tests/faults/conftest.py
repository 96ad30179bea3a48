"""The failing disk, and work for it."""

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.disk import Disk
from tests.faults.line import Work, works


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    """A disk that fails when told to; without a C compiler the tests are told as not run."""
    if shutil.which("gcc") is None:
        pytest.skip("NO FAULTS OF THE DISK, NOT RUN: there is no gcc to build tests/faults/disk.c")
    made = Disk(tmp_path_factory.mktemp("disk"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> list[Work]:
    """What all stages are to do."""
    return works(tmp_path_factory.mktemp("shelf"))
