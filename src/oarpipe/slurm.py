"""Snakemake's executor for Slurm, made patient: a Slurm that does not answer has told nothing of a job.

The plugin (2.8.0) forgets jobs that it asked after in vain and then waits for them without end; it waits as
long for jobs that Slurm itself has forgotten, or has preempted for good; and while the controller is away, it
spends a job's retries on submitting it. The Snakefile calls `be_patient`; nothing else imports this.
"""

import subprocess
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_executor_plugin_slurm.job_status_query import query_job_status
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

ASK_AGAIN = 10.0  # seconds between two looks for a controller that is away
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "TIMEOUT"),  # one that is to run again is PENDING
}


class PatientExecutor(Executor):  # type: ignore[misc]  # the plugin has no types
    """Keeps the jobs of which Slurm told nothing, and submits none while nobody would take them."""

    def __init__(self, workflow: Any, logger: Any) -> None:
        self._reported: set[str] = set()  # jobs that ended, at the latest look
        self._missed: dict[str, int] = {}  # of each job that is waited for, how many looks in a row
        self._silent: set[str] = set()  # what Slurm did not answer when last asked
        self._is_leaving = threading.Event()
        super().__init__(workflow, logger)  # starts the thread that asks

    async def check_active_jobs(
        self, active_jobs: Sequence[SubmittedJobInfo]
    ) -> AsyncIterator[SubmittedJobInfo]:
        """Yields the jobs that go on, with those that Slurm told nothing of.

        A job that is neither waiting nor running at two looks in a row has ended, whatever the plugin waits
        for. It is reported as done; Snakemake believes that if its output is there, else submits it again.
        """
        self._reported.clear()
        going_on = [job async for job in super().check_active_jobs(active_jobs)]
        told = {job.external_jobid for job in going_on} | self._reported
        untold = [job for job in active_jobs if job.external_jobid not in told]
        alive = await self._alive() if going_on or untold else set()
        self._tell(
            "status",
            bool(untold) and alive is None,
            f"Slurm does not answer what became of {len(untold)} jobs; they are kept, and asked after again.",
        )
        missed, self._missed = self._missed, {}
        for job in [*going_on, *untold]:
            name = str(job.external_jobid)
            misses = 0 if alive is None or name in alive else missed.get(name, 0) + 1
            if misses < 2:
                self._missed[name] = misses
                yield job
                continue
            self.logger.warning(
                f"Slurm job {name} is neither waiting nor running, and how it ended is not told; its output "
                "will show it."
            )
            self.report_job_success(job)

    async def _alive(self) -> set[str] | None:
        """The numbers of this run's jobs that are waiting or running; None if nobody tells."""
        if self._submitted_job_clusters:  # squeue would tell of the cluster at hand only
            return None
        if _controller_is_away():  # squeue would wait for it, a minute on some sites
            return None
        question = f"squeue --noheader --array --states=all --format=%i|%T --name={self.run_uuid}"
        states, _ = await query_job_status(question, self.logger)
        return None if states is None else {job for job, state in states.items() if state not in ENDED}

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        """As the plugin does."""
        self._reported.add(str(job_info.external_jobid))
        super().report_job_success(job_info)

    def report_job_error(self, job_info: SubmittedJobInfo, *args: Any, **kwargs: Any) -> None:
        """As the plugin does."""
        self._reported.add(str(job_info.external_jobid))
        super().report_job_error(job_info, *args, **kwargs)

    def run_job(self, job: Any) -> None:
        """Submits a job when there is a controller to take it; none after Snakemake was told to stop."""
        while is_away := _controller_is_away():
            self._tell("ping", is_away, "The Slurm controller is away; jobs are submitted when it is back.")
            if self._is_leaving.wait(ASK_AGAIN):
                return
        self._tell("ping", is_away, "")
        super().run_job(job)

    def cancel(self) -> None:
        """As the plugin does, but jobs that wait to be submitted do not hold it up."""
        self._is_leaving.set()
        super().cancel()

    def shutdown(self) -> None:
        """The same."""
        self._is_leaving.set()
        super().shutdown()

    def _tell(self, question: str, is_silent: bool, message: str) -> None:
        """Tells once that Slurm does not answer a question, and once that it answers again."""
        if is_silent and question not in self._silent:
            self._silent.add(question)
            self.logger.warning(message)
        elif not is_silent and question in self._silent:
            self._silent.discard(question)
            self.logger.warning("Slurm answers again.")


def be_patient() -> None:
    """Has Snakemake use `PatientExecutor` where `slurm` is asked for."""
    ExecutorPluginRegistry().get_plugin("slurm").executor = PatientExecutor


def _controller_is_away() -> bool:
    """Whether every controller is said to be down; a ping that cannot be made or understood says nothing."""
    try:
        ping = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return " is DOWN" in ping.stdout and " is UP" not in ping.stdout
