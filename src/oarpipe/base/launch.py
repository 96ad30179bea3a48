"""Carries out one command by several processes, one a GPU: on this machine, or on each node of a Slurm job.

The processes find torchrun's variables, so `torchrun … -m oarpipe VERB …` does as well. Started from here,
they may take the time to save that they need, and a stage that left off ends with status 75.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from oarpipe.errors import BadInput

GRACE = 30.0  # seconds in which the others end by themselves, after one has failed; then they are ended
LOOK = 0.1
# What names the job; all else that a step finds describes that step, and would describe the next one wrongly.
_JOB = ("SLURM_JOB_ID", "SLURM_JOBID", "SLURM_CLUSTER_NAME", "SLURM_CONF")


def launch(words: Sequence[str], *, gpus: int, nodes: int) -> int:
    """Runs `oarpipe WORDS…` as `gpus` processes on `nodes` machines; the status is the first failure's.

    On several nodes it first starts itself once on each, as a step of the Slurm job that it is part of.
    """
    if gpus < 1 or nodes < 1 or gpus % nodes:
        raise BadInput(
            f"{gpus} GPUs cannot be spread evenly over {nodes} nodes; `gpu` is those of all nodes together"
        )
    here = [sys.executable, "-m", "oarpipe", *words]
    if nodes == 1:
        meeting = "127.0.0.1", _free_port()
        threads = max(_threads() // gpus, 1)  # `threads` are the job's; on several nodes, each process's
        return _watch([_child(here, rank, gpus, gpus, meeting, threads) for rank in range(gpus)])
    each = gpus // nodes
    if not _is_step_of(nodes):
        return _watch([_step(here, nodes, each)])
    first = int(os.environ["SLURM_NODEID"]) * each
    meeting = _first_node(), 10_000 + int(os.environ["SLURM_JOB_ID"]) % 20_000
    return _watch([_child(here, first + i, gpus, each, meeting, _threads()) for i in range(each)])


def _child(
    command: list[str], rank: int, size: int, each: int, meeting: tuple[str, int], threads: int
) -> "subprocess.Popen[bytes]":
    """Process `rank` of `size`, of which `each` share a machine."""
    environment = {
        "RANK": rank,
        "WORLD_SIZE": size,
        "LOCAL_RANK": rank % each,
        "LOCAL_WORLD_SIZE": each,
        "MASTER_ADDR": meeting[0],
        "MASTER_PORT": meeting[1],
        "OMP_NUM_THREADS": threads,
    }
    told = {name: str(value) for name, value in environment.items()}
    return subprocess.Popen(command, env={**os.environ, **told}, preexec_fn=_end_with_parent)


def _threads() -> int:
    """What Snakemake granted the command, or as many as there are cores."""
    granted = os.environ.get("OMP_NUM_THREADS", "")
    return int(granted) if granted.isdigit() else os.cpu_count() or 1


def _end_with_parent() -> None:
    """A child whose parent was killed is asked to stop, and saves."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _step(command: list[str], nodes: int, each: int) -> "subprocess.Popen[bytes]":
    """The same command as one task a node, with the cores of its `each` processes and the job's GPUs."""
    if "SLURM_JOB_ID" not in os.environ:
        raise BadInput(
            f"{nodes} nodes are reached from within a Slurm job only; elsewhere start "
            f"`torchrun --nnodes {nodes} … -m oarpipe …` on each of them"
        )
    threads = _threads() * each
    srun = ["srun", "--overlap", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
    srun += [f"--gpus-per-node={each}", f"--cpus-per-task={threads}", "--kill-on-bad-exit=0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SRUN_")) or k in _JOB}
    return subprocess.Popen([*srun, *command], env=environment, preexec_fn=_end_with_parent)


def _is_step_of(nodes: int) -> bool:
    """Whether this process is one of a step's tasks, of which there is one on each of so many nodes."""
    return all(
        os.environ.get(name) == str(nodes) for name in ("SLURM_STEP_NUM_NODES", "SLURM_STEP_NUM_TASKS")
    )


def _first_node() -> str:
    """Where the processes of all nodes meet: the first node, by a name or number that the others know."""
    listed = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    name = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()[0]
    try:
        socket.gethostbyname(name)
    except OSError:  # then the node that the step was started from, which is the job's first
        return os.environ["SLURM_LAUNCH_NODE_IPADDR"]
    return name


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _watch(children: "list[subprocess.Popen[bytes]]") -> int:
    """Waits for all; passes SIGTERM on to them. When one has failed, the others have to end."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        for child in children:
            if child.poll() is None:
                child.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on), signal.signal(signal.SIGINT, signal.SIG_IGN)
    failed, patience_ends = None, [GRACE, 2 * GRACE]
    try:
        while any(child.poll() is None for child in children):
            if failed is None:
                failed, since = _failed(children), time.monotonic()
            elif patience_ends and time.monotonic() - since > patience_ends[0]:
                pass_on(signal.SIGTERM if len(patience_ends) == 2 else signal.SIGKILL, None)
                del patience_ends[0]
            time.sleep(LOOK)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    failed = failed or _failed(children)
    if failed is None:
        return 0
    if failed.returncode < 0:
        which = f"process {children.index(failed) + 1} of {len(children)}"
        print(f"oarpipe: {which} was ended by signal {-failed.returncode}", file=sys.stderr)
        return 128 - failed.returncode
    return failed.returncode


def _failed(children: "list[subprocess.Popen[bytes]]") -> "subprocess.Popen[bytes] | None":
    """One that failed: first one that was killed, since the others fail for want of it; else the first."""
    failed = [child for child in children if child.returncode]
    return min(failed, key=lambda child: child.returncode > 0, default=None)
