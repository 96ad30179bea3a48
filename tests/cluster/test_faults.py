"""What clusters do to jobs, done to an extraction in mid-work: nothing is lost, and retries need nobody.

Every test starts from finished results without one table of orders, and ends with the digests of a run that
nothing happened to. `make cluster` runs the quick ones, `make faults` the others.
"""

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.line import Line
from tests.cluster.slurm import Cluster, wait_for

pytestmark = pytest.mark.slurm

FOLDER = "seed-0/orders/greedy"
ORDERS = Path("results/tiny") / FOLDER
RECEIPT = str(ORDERS / "receipt.json")
LOG = "results/tiny/logs/extract/greedy.seed-0.1-of-2.log"


@pytest.fixture
def line(line: Line, cluster: Cluster, undisturbed: Line) -> Iterator[Line]:
    """Finished results, but for the orders of the training images."""
    line.take_over(undisturbed, without=str(ORDERS))
    yield line
    cluster.clear(line.folder)


def ends(cluster: Cluster, line: Line) -> Counter[str]:
    """How the jobs of the extraction ended."""
    return Counter(job["JobState"] for job in cluster.jobs(line.folder, "extract"))


def test_a_cancelled_share_is_submitted_again_and_keeps_its_parts(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    cluster.cancel(line.suspend_a_share(ORDERS)["job"])
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2, "CANCELLED": 1}
    assert "parts are there already" in (line.folder / LOG).read_text()
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_without_retries_a_cancelled_share_is_told_and_the_next_run_continues_it(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start("--retries", "0", RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    told = line.status(FOLDER)
    assert told["state"] == "running"
    assert told["who"].startswith(f"{mark['host']} (job {mark['job']})")  # the other share may run, too
    cluster.cancel(mark["job"])
    assert run.ends() == 1
    assert "SLURM status is: 'CANCELLED'" in run.said()
    told = line.status(FOLDER)
    assert (told["state"], told["progress"]) == ("stopped", "1 shards done")
    line.start(RECEIPT).ends_well()
    assert line.status(FOLDER)["state"] == "done"
    assert line.digests() == undisturbed.digests()


def test_a_share_that_slurm_ends_at_its_time_limit_is_continued(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    cluster.reach_the_limit(line.suspend_a_share(ORDERS)["job"])
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2, "TIMEOUT": 1}
    assert "parts are there already" in (line.folder / LOG).read_text()
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_a_share_leaves_off_before_its_time_limit_and_is_continued(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    """The limit is two minutes; one part takes 45 seconds, so that another might not end in time."""
    run = line.start("--set-resources", "extract:runtime=2", "--", RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    time.sleep(45)
    os.kill(mark["pid"], signal.SIGCONT)
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2, "FAILED": 1}
    assert "left off, because its time is nearly up" in line.slurm_logs(mark["job"])
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_the_jobs_of_a_node_that_is_set_down_run_again_when_it_is_back(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    job = line.suspend_a_share(ORDERS)["job"]
    cluster.take_node_down()
    wait_for(lambda: cluster.state(job) == "PENDING", f"job {job} to be put back")
    cluster.bring_node_back()
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert "DUE TO NODE FAILURE" in line.slurm_logs(job)
    assert "parts are there already" in line.slurm_logs(job)
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_a_preempted_job_runs_again_under_its_number(cluster: Cluster, line: Line, undisturbed: Line) -> None:
    run = line.start(RECEIPT)
    job = line.suspend_a_share(ORDERS)["job"]
    cluster.preempt()
    wait_for(lambda: cluster.state(job) == "PENDING", f"job {job} to be preempted")
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert "DUE TO PREEMPTION" in line.slurm_logs(job)
    assert "parts are there already" in line.slurm_logs(job)
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_what_was_killed_for_memory_gets_more_at_the_next_attempt(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    line.start("--set-resources", "extract:mem_mb=450 * attempt", "--", RECEIPT).ends_well()
    asked = Counter((job["JobState"], job["MinMemoryNode"]) for job in cluster.jobs(line.folder, "extract"))
    assert asked["FAILED", "450M"] == 2
    assert sum(count for (state, _), count in asked.items() if state == "COMPLETED") == 2
    assert line.digests() == undisturbed.digests()


def test_a_controller_that_is_back_before_it_is_missed_goes_unnoticed(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    cluster.stop_controller()
    cluster.start_controller()
    os.kill(mark["pid"], signal.SIGCONT)
    assert "Slurm does not answer" not in run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert line.digests() == undisturbed.digests()


def test_jobs_that_were_asked_after_in_vain_are_asked_after_again(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    cluster.stop_controller()
    wait_for(lambda: "Slurm does not answer" in run.said(), "Snakemake to ask in vain")
    cluster.start_controller()
    os.kill(mark["pid"], signal.SIGCONT)
    assert "Slurm answers again" in run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_while_the_controller_is_away_no_retry_is_spent_on_submitting(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    cluster.stop_controller()
    run = line.start("--retries", "0", RECEIPT)
    wait_for(lambda: "The Slurm controller is away" in run.said(), "Snakemake to want to submit")
    cluster.start_controller()
    run.ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_where_accounting_is_off_although_it_is_asked_the_run_ends_all_the_same(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    line.start("--slurm-status-command", "sacct", RECEIPT).ends_well()
    assert ends(cluster, line) == {"COMPLETED": 2}
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_jobs_that_the_controller_has_forgotten_are_submitted_again(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    cluster.stop_controller()
    cluster.start_controller(remembers=False)
    run.ends_well()
    assert f"Slurm job {mark['job']} is neither waiting nor running" in run.said()
    assert "parts are there already" in (line.folder / LOG).read_text()
    assert line.digests() == undisturbed.digests()


@pytest.mark.faults
def test_a_job_that_is_preempted_for_good_is_submitted_again(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    run = line.start(RECEIPT)
    job = line.suspend_a_share(ORDERS)["job"]
    cluster.preempt(mode="CANCEL")
    run.ends_well()
    assert ends(cluster, line)["PREEMPTED"] >= 1
    assert f"Slurm job {job} is neither waiting nor running" in run.said()
    assert "parts are there already" in (line.folder / LOG).read_text()
    assert line.digests() == undisturbed.digests()


def test_jobs_that_a_killed_snakemake_left_behind_are_waited_for(
    cluster: Cluster, line: Line, undisturbed: Line
) -> None:
    first = line.start(RECEIPT)
    mark = line.suspend_a_share(ORDERS)
    first.kill()
    assert line.status(FOLDER)["state"] == "running"
    line.start("--unlock").ends_well()
    again = line.start(RECEIPT)
    waits = f"being written by process {mark['pid']} on {mark['host']}, job {mark['job']}, since"
    wait_for(lambda: waits in line.slurm_logs(), "the second job to wait for the first")
    os.kill(mark["pid"], signal.SIGCONT)
    again.ends_well()
    assert set(ends(cluster, line)) == {"COMPLETED"}
    assert re.search(r"(\d+) of this shard's \1 parts are there already", (line.folder / LOG).read_text())
    assert line.digests() == undisturbed.digests()
