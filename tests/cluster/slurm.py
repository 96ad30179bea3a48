"""A real Slurm on this machine: munge, a controller and four logical nodes, with pretended GPUs.

No systemd, no accounting, no cgroups. The daemons are children of the tests: they end with them, also if
the tests are killed. Memory is looked at every second, and no device computes; all else is as on a cluster.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

PACKAGES = ["slurmctld", "slurmd", "slurm-client", "munge"]
ETC = Path("/etc/slurm")  # a job's own srun looks nowhere else
NVIDIA = 195  # major number of the device files
NODES = ("gpu01", "cpu01", "pair01", "pair02")

SLURM_CONF = """
ClusterName=oarpipe-tests
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# So long a job that was put back waits before it runs again; on clusters two minutes.
AuthInfo=cred_expire=10
CredType=cred/munge
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
KillWait=5
SlurmctldTimeout=300
SlurmdTimeout=300
MessageTimeout=60
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
NodeName=DEFAULT Sockets=1 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=128000 State=UNKNOWN
NodeName=gpu01 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[1]} Gres=gpu:h100:4
NodeName=cpu01 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[2]}
NodeName=pair01 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[3]} Gres=gpu:h100:2
NodeName=pair02 NodeAddr=127.0.0.1 NodeHostname=localhost Port={ports[4]} Gres=gpu:h100:2
PartitionName=cpu Nodes=cpu01 Default=YES MaxTime=24:00:00 State=UP
PartitionName=h100 Nodes=gpu01 MaxTime=24:00:00 State=UP
PartitionName=pair Nodes=pair01,pair02 MaxTime=24:00:00 State=UP
PartitionName=urgent Nodes=gpu01 PriorityTier=10 State=UP
"""
GRES_CONF = """
AutoDetect=off
NodeName=gpu01 Name=gpu Type=h100 File={folder}/dev/nvidia[0-3]
NodeName=pair01,pair02 Name=gpu Type=h100 File={folder}/dev/nvidia[0-1]
"""
# Waits for the tests to end, also by SIGKILL: with a link left, every Snakemake would ask a dead controller.
REMOVE_LINKS = "cat; find {etc} -lname '{folder}/*' -delete"

T = TypeVar("T")


class NotHere(Exception):
    """Why no cluster can be had on this machine, whatever one does."""


def wait_for(condition: Callable[[], T], what: str, *, seconds: float = 300, every: float = 0.2) -> T:
    """What `condition` answers as soon as it is true; one that never comes is a `TimeoutError`."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(every)
    return answer


class Cluster:
    """The daemons and their files, all below `folder` but for links in /etc/slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._held = contextlib.ExitStack()  # a lock, and the links

    def start(self) -> None:
        """Installs what is missing, starts everything and waits for the nodes; may raise `NotHere`."""
        _refuse_what_is_not_ours()
        self._hold_the_lock()
        _install()
        for name in ("dev", "state", "spool", "log", "run"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._write_files()
        if not _answers("munge", "--no-input"):
            self._start_munge()
        self.start_controller()
        for node in NODES:
            self._start(f"slurmd.{node}", "slurmd", "-D", "-N", node)
        self._wait_for(lambda: set(self.nodes().values()) == {"idle"}, "all nodes to be idle")

    def start_controller(self, *, remembers: bool = True) -> None:
        """Starts slurmctld; the jobs it knew before go on, unless it has forgotten them."""
        self._start("slurmctld", "slurmctld", "-D", *([] if remembers else ["-c"]))
        self._wait_for(lambda: _answers("scontrol", "ping"), "slurmctld to answer")

    def stop_controller(self) -> None:
        """Stops slurmctld alone; running jobs do not notice."""
        self._end("slurmctld")

    def stop(self) -> None:
        """Cancels all jobs and ends every daemon that was started, the nodes before their controller."""
        if "slurmctld" in self._daemons:
            _answers("scancel", "--user=root")
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: not _output("squeue", "-h"), "the last jobs to end", seconds=60)
        for name in list(reversed(self._daemons)):
            self._end(name)
        self._held.close()

    def nodes(self) -> dict[str, str]:
        """The state of every node, by name."""
        return dict(line.split()[:2] for line in _output("sinfo", "-hN", "-o", "%N %t").splitlines())

    def jobs(self, folder: Path, rule: str = "") -> list[dict[str, str]]:
        """What `scontrol` tells of the jobs of one clone, ended ones too; `Rule` is the rule's name."""
        told = [
            dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in _output("scontrol", "--oneliner", "show", "job").splitlines()
        ]
        jobs = [
            {**job, "Rule": job["StdOut"].partition("/rule_")[2].partition("/")[0]}
            for job in told
            if job.get("WorkDir") == str(folder)
        ]
        return [job for job in jobs if rule in ("", job["Rule"])]

    def state(self, job: str) -> str:
        """RUNNING, PENDING, COMPLETED and so on."""
        return _output("squeue", "-h", "--states=all", "--job", job, "-o", "%T").strip()

    def cancel(self, job: str) -> None:
        """What happens when a user or an operator cancels a job."""
        _order("scancel", job)

    def clear(self, folder: Path) -> None:
        """Cancels what is left of the jobs of one clone."""
        for job in self.jobs(folder):
            if job["JobState"] in ("PENDING", "RUNNING"):
                self.cancel(job["JobId"])

    def reach_the_limit(self, job: str) -> None:
        """Moves a job's time limit to now; the controller looks at limits twice a minute."""
        _order("scontrol", "update", f"jobid={job}", "endtime=now")

    def take_node_down(self) -> None:
        """Takes the GPU node out of service."""
        _order("scontrol", "update", "nodename=gpu01", "state=down", "reason=fault")

    def bring_node_back(self) -> None:
        """Takes it into service again, if its slurmd has not registered meanwhile, which does that too."""
        _answers("scontrol", "update", "nodename=gpu01", "state=resume")
        wait_for(lambda: "down" not in self.nodes()["gpu01"], "the node to be back")

    def preempt(self, *, mode: str = "REQUEUE") -> None:
        """Submits a job that takes the whole GPU node for a second; `mode` befalls the others there."""
        _order("scontrol", "update", "partitionname=h100", f"preemptmode={mode}")
        words = ["--partition=urgent", "--gres=gpu:h100:4", "--exclusive", "--output=/dev/null"]
        _order("sbatch", *words, "--wrap=sleep 1")

    def _hold_the_lock(self) -> None:
        handle = self._held.enter_context(open("/run/lock/oarpipe-slurm", "w"))  # noqa: SIM115
        fcntl.flock(handle, fcntl.LOCK_EX)  # other cluster tests on this machine go first

    def _write_files(self) -> None:
        ports = _free_ports(1 + len(NODES))
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(folder=self.folder, ports=ports))
        (self.folder / "gres.conf").write_text(GRES_CONF.format(folder=self.folder))
        ETC.mkdir(exist_ok=True)
        self._held.enter_context(
            subprocess.Popen(
                ["sh", "-c", REMOVE_LINKS.format(etc=ETC, folder=self.folder)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        )
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.folder / name)
        for i in range(4):
            try:
                os.mknod(self.folder / f"dev/nvidia{i}", 0o020666, os.makedev(NVIDIA, i))
            except PermissionError as error:
                raise NotHere("device files cannot be made here (CAP_MKNOD)") from error

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        Path("/run/munge").mkdir(exist_ok=True)
        files = {"pid": "run/munged.pid", "log": "log/munged.log", "seed": "run/munged.seed"}
        options = [f"--{what}-file={self.folder / file}" for what, file in files.items()]
        self._start("munged", "munged", "--foreground", "--force", f"--key-file={key}", *options)
        self._wait_for(lambda: _answers("munge", "--no-input"), "munged to answer")

    def _start(self, name: str, *command: str) -> None:
        output = (self.folder / f"log/{name}.out").open("ab")
        self._daemons[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        output.close()

    def _end(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        def is_so_while_all_live() -> bool:
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            told = [(self.folder / f"log/{name}.out").read_text(errors="replace")[-500:] for name in ended]
            assert not ended, f"{ended[0]} ended: {told[0]}"
            return condition()

        wait_for(is_so_while_all_live, what)


def _refuse_what_is_not_ours() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NotHere("the daemons need Linux and root")
    if Path("/dev/nvidia0").exists():
        raise NotHere(
            "this machine has a GPU, so that results would depend on which pretended one a job gets"
        )
    conf = ETC / "slurm.conf"
    if conf.exists() and "oarpipe-tests" not in conf.read_text():
        raise NotHere(f"{conf} belongs to a Slurm of this machine, which is left alone")


def _install() -> None:
    if all(shutil.which(tool) for tool in ("slurmctld", "slurmd", "sbatch", "munged", "setpriv")):
        return
    if not shutil.which("apt-get"):
        raise NotHere(f"no Slurm here, and no apt-get to install {' '.join(PACKAGES)} with")
    policy = Path("/usr/sbin/policy-rc.d")  # tells Debian to start no daemon on installing it
    written = not policy.exists()
    if written:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        for words in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *PACKAGES]):
            run = subprocess.run(
                ["apt-get", *words],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
            assert run.returncode == 0, f"apt-get {words[0]} failed: {run.stderr.strip()[-500:]}"
    finally:
        if written:
            policy.unlink()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _answers(*command: str) -> bool:
    return _run(*command).returncode == 0


def _output(*command: str) -> str:
    return _run(*command).stdout


def _order(*command: str) -> None:
    run = _run(*command)
    assert run.returncode == 0, f"{' '.join(command)}: {run.stderr}"


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", "")
