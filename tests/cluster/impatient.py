"""Snakemake that asks after its jobs every second, to be run in its place.

The Slurm plugin waits ten seconds longer each time that no job has ended well. Jobs of the tests take
seconds, so most of the tests' time would go by between two questions.
"""

from snakemake.cli import main
from snakemake_executor_plugin_slurm import Executor

Executor.next_seconds_between_status_checks = property(lambda self: 1, lambda self, seconds: None)

if __name__ == "__main__":
    main()
