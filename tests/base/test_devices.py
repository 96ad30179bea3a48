"""Memory: how much a job may take, by the system's word and its control groups', and that it is kept."""

from pathlib import Path

import pytest
import torch

from oarpipe.base import devices
from oarpipe.base.devices import free_memory, sent

CPU = torch.device("cpu")


def group(folder: Path, **values: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{value}\n")


def test_a_job_may_take_its_threads_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_available", lambda: 8000)
    monkeypatch.setattr(devices, "_left_in_groups", lambda *_: iter([float("inf")]))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert free_memory(CPU) == 4000


def test_the_tightest_group_around_a_job_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("0::/slurm/job_7/step_0\n")
    root = tmp_path / "fs"
    group(root / "slurm/job_7", memory_max="5000", memory_current="1500")
    group(root / "slurm/job_7/step_0", memory_max="max", memory_current="1000")
    assert min(devices._left_in_groups(membership, root)) == 3500


def test_groups_of_the_first_version_count_as_well(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("5:cpu:/\n4:memory:/box\n")
    group(tmp_path / "fs/memory/box", memory_limit_in_bytes="900", memory_usage_in_bytes="1000")
    assert min(devices._left_in_groups(membership, tmp_path / "fs")) == 0


def test_this_machine_tells_what_is_free() -> None:
    assert 2**20 < free_memory(CPU) < 2**50


@pytest.mark.gpu
def test_what_is_sent_arrives_and_nobody_waits() -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = sent(torch.arange(1000), torch.device("cuda"))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(there.cpu(), torch.arange(1000))


def test_what_is_there_already_is_not_copied() -> None:
    here = torch.arange(3)
    assert sent(here, CPU) is here
