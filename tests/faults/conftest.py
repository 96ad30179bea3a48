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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says aloud that the faults of the disk were not tried, and why."""
    reasons = {
        report.longrepr[2]
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and "NO FAILING DISK" in report.longrepr[2]
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(reason.removeprefix("Skipped: "), red=True, bold=True)
