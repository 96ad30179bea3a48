"""What Snakemake makes of a Slurm that does not answer. The plugin is real; Slurm's commands are scripts."""

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_executor_plugin_slurm import Executor, ExecutorSettings
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from throttler import Throttler

from oarpipe import slurm
from oarpipe.slurm import PatientExecutor

SQUEUE = """#!/bin/sh
[ -e {folder}/away ] && exit 1
cat {folder}/jobs
"""
SCONTROL = """#!/bin/sh
[ "$*" = ping ] && {{ [ -e {folder}/away ] && echo 'Slurmctld(primary) at node is DOWN' && exit 1
    echo 'Slurmctld(primary) at node is UP'; exit 0; }}
[ -e {folder}/away ] && exit 1
echo 'MinJobAge = 300 sec'
"""
SACCT = """#!/bin/sh
echo 'Slurm accounting storage is disabled' >&2
exit 1
"""


class Slurm:
    """Slurm's commands, which tell what a test says; and what Snakemake was told with them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        for name, script in (("squeue", SQUEUE), ("scontrol", SCONTROL), ("sacct", SACCT)):
            command = folder / name
            command.write_text(script.format(folder=folder))
            command.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        monkeypatch.setattr(RemoteExecutor, "__init__", _begin_without_a_thread)
        self.jobs: list[SubmittedJobInfo] = []
        self.succeeded: list[str] = []
        self.failed: list[str] = []
        self.said: list[str] = []
        self.executor = self._executor("squeue")

    def ask_sacct(self) -> None:
        """As if the profile said `slurm-status-command: sacct`."""
        self.executor = self._executor("sacct")

    def away(self, is_away: bool) -> None:
        """The controller goes, or is back."""
        if is_away:
            (self._folder / "away").touch()
        else:
            (self._folder / "away").unlink()

    def look(self, **states: str) -> list[str]:
        """One look at the jobs a, b, … when Slurm knows these states; returns those that Snakemake keeps."""
        (self._folder / "jobs").write_text("".join(f"{job}|{state}\n" for job, state in states.items()))

        async def kept() -> list[SubmittedJobInfo]:
            return [job async for job in self.executor.check_active_jobs(self.jobs)]

        self.jobs = asyncio.run(kept())
        return [str(job.external_jobid) for job in self.jobs]

    def _executor(self, command: str) -> PatientExecutor:
        settings = ExecutorSettings(
            status_command=command,
            status_attempts=2,
            init_seconds_before_status_checks=1,
            keep_successful_logs=True,
        )
        workflow = SimpleNamespace(executor_settings=settings, workdir_init=self._folder)
        note = self.said.append
        logger = SimpleNamespace(info=lambda _: None, debug=lambda _: None, warning=note, error=note)
        return PatientExecutor(workflow, logger)


def _begin_without_a_thread(executor: Executor, workflow: SimpleNamespace, logger: SimpleNamespace) -> None:
    executor.workflow, executor.logger = workflow, logger
    executor.status_rate_limiter = Throttler(rate_limit=1000, period=1)
    executor.next_seconds_between_status_checks = 1
    executor.__post_init__()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """A Slurm that two jobs, a and b, were submitted to."""
    told = Slurm(tmp_path, monkeypatch)
    told.jobs = [SubmittedJobInfo(name, external_jobid=name, aux={}) for name in ("a", "b")]
    monkeypatch.setattr(
        RemoteExecutor, "report_job_success", lambda _, job: told.succeeded.append(job.external_jobid)
    )
    monkeypatch.setattr(
        RemoteExecutor, "report_job_error", lambda _, job, **kwargs: told.failed.append(job.external_jobid)
    )
    return told


def test_what_slurm_tells_of_is_left_to_the_plugin(cluster: Slurm) -> None:
    assert cluster.look(a="RUNNING", b="PENDING") == ["a", "b"]
    assert cluster.look(a="COMPLETED", b="FAILED") == []
    assert (cluster.succeeded, cluster.failed, cluster.said) == (["a"], ["b"], [])


def test_jobs_that_nobody_tells_of_are_kept_and_that_is_told_once(cluster: Slurm) -> None:
    cluster.away(True)
    assert [cluster.look(), cluster.look(), cluster.look()] == [["a", "b"]] * 3
    assert cluster.said == [
        "Slurm does not answer what became of 2 jobs; they are kept, and asked after again."
    ]
    cluster.away(False)
    assert cluster.look(a="COMPLETED", b="RUNNING") == ["b"]
    assert cluster.said[1:] == ["Slurm answers again."]
    assert (cluster.succeeded, cluster.failed) == (["a"], [])


def test_without_a_status_attempt_that_succeeds_the_plugin_alone_forgets_its_jobs(cluster: Slurm) -> None:
    """If this fails, the plugin was mended, and so may `oarpipe.slurm` be."""
    cluster.away(True)

    async def kept() -> list[SubmittedJobInfo]:
        return [job async for job in Executor.check_active_jobs(cluster.executor, cluster.jobs)]

    assert asyncio.run(kept()) == []
    assert (cluster.succeeded, cluster.failed) == ([], [])


def test_a_job_that_slurm_forgot_is_left_to_its_output_at_the_second_look(cluster: Slurm) -> None:
    cluster.look(a="RUNNING", b="RUNNING")
    assert cluster.look(b="RUNNING") == ["a", "b"]
    assert cluster.look(b="RUNNING") == ["b"]
    assert cluster.succeeded == ["a"]
    assert "Slurm job a is neither waiting nor running" in cluster.said[0]


def test_a_job_that_is_seen_again_was_not_forgotten(cluster: Slurm) -> None:
    for seen in (False, True, False, True):
        assert cluster.look(b="RUNNING", **({"a": "RUNNING"} if seen else {})) == ["a", "b"]


def test_looks_in_vain_between_two_others_do_not_count(cluster: Slurm) -> None:
    cluster.look(b="RUNNING")
    cluster.away(True)
    assert cluster.look() == ["a", "b"]
    cluster.away(False)
    assert cluster.look(b="RUNNING") == ["a", "b"]


def test_a_job_that_is_preempted_and_does_not_run_again_is_left_to_its_output(cluster: Slurm) -> None:
    assert cluster.look(a="PREEMPTED", b="RUNNING") == ["a", "b"]
    assert cluster.look(a="PREEMPTED", b="RUNNING") == ["b"]
    assert cluster.succeeded == ["a"]


def test_where_accounting_is_off_although_it_is_asked_jobs_end_all_the_same(cluster: Slurm) -> None:
    cluster.ask_sacct()
    assert cluster.look(a="RUNNING", b="RUNNING") == ["a", "b"]
    assert cluster.look(a="COMPLETED", b="RUNNING") == ["a", "b"]
    assert cluster.look(a="COMPLETED", b="RUNNING") == ["b"]
    assert cluster.succeeded == ["a"]


def test_of_jobs_on_several_clusters_one_squeue_proves_nothing(cluster: Slurm) -> None:
    cluster.executor._submitted_job_clusters.add("other")
    assert [cluster.look(b="RUNNING") for _ in range(4)] == [["a", "b"]] * 4


def test_a_job_is_submitted_when_the_controller_is_back(
    cluster: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[str] = []
    monkeypatch.setattr(Executor, "run_job", lambda _, job: submitted.append(job))
    monkeypatch.setattr(slurm, "ASK_AGAIN", 0.01)
    cluster.away(True)
    thread = threading.Thread(target=cluster.executor.run_job, args=("a",))
    thread.start()
    thread.join(0.5)
    assert submitted == []
    cluster.away(False)
    thread.join(30)
    assert submitted == ["a"]
    assert cluster.said == [
        "The Slurm controller is away; jobs are submitted when it is back.",
        "Slurm answers again.",
    ]


def test_a_snakemake_that_is_cancelled_submits_no_job_that_still_waits(
    cluster: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[str] = []
    monkeypatch.setattr(Executor, "run_job", lambda _, job: submitted.append(job))
    monkeypatch.setattr(RemoteExecutor, "cancel", lambda _: None)
    cluster.away(True)
    thread = threading.Thread(target=cluster.executor.run_job, args=("a",))
    thread.start()
    cluster.executor.cancel()
    thread.join(30)
    assert not thread.is_alive()
    assert submitted == []


def test_a_site_without_scontrol_submits_at_once(cluster: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[str] = []
    monkeypatch.setattr(Executor, "run_job", lambda _, job: submitted.append(job))
    monkeypatch.setenv("PATH", "")
    cluster.executor.run_job("a")
    assert submitted == ["a"]
