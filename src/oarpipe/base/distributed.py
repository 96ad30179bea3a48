"""Several processes at one piece of work: which one this is, and what they agree upon.

torchrun's variables say it (`RANK`, `WORLD_SIZE`, `LOCAL_RANK`), whoever sets them. Without them there
is one process, and everything here returns what it was given. The first process alone writes files.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from oarpipe.errors import BadInput, OarpipeError

T = TypeVar("T")

# How long one may be late. The first process may wait for another writer as long as that one works.
LATE = timedelta(minutes=30)
PATIENT = timedelta(days=30)


@dataclass(frozen=True)
class World:
    """The processes of one command: this one's number among all, and among those of its machine."""

    rank: int
    size: int
    local_rank: int
    local_size: int


def world() -> World:
    """The processes that this one works with."""

    def told(name: str, alone: int) -> int:
        return int(os.environ.get(name) or alone)

    size = told("WORLD_SIZE", 1)
    return World(told("RANK", 0), size, told("LOCAL_RANK", 0), told("LOCAL_WORLD_SIZE", size))


def leads() -> bool:
    """Whether this process writes what all have made."""
    return world().rank == 0


class _Meeting:
    """Where the processes have met: a store of small facts, and a group that is in no hurry."""

    store: Any = None
    patient: Any = None


@contextmanager
def joined() -> Iterator[None]:
    """Meets the other processes, if there are any: NCCL among GPUs, gloo among CPUs."""
    here = world()
    if here.size == 1:
        yield
        return
    import torch
    import torch.distributed as dist
    from torch.distributed.rendezvous import rendezvous

    backend = "gloo"
    if torch.cuda.is_available():
        if here.local_size > torch.cuda.device_count():
            raise BadInput(
                f"{here.local_size} processes on a machine that shows {torch.cuda.device_count()} GPUs; "
                "start as many as there are (the rule's `gpu` and `nodes`)"
            )
        torch.cuda.set_device(here.local_rank)
        backend = "cpu:gloo,cuda:nccl"
    _Meeting.store, _, _ = next(rendezvous("env://", here.rank, here.size, timeout=LATE))
    dist.init_process_group(backend, store=_Meeting.store, rank=here.rank, world_size=here.size, timeout=LATE)
    _Meeting.patient = dist.new_group(backend="gloo", timeout=PATIENT)
    yield
    # After an error nobody is waited for: the process ends, and so do those that wait for it.
    any_of(False)
    dist.destroy_process_group()
    _Meeting.store = _Meeting.patient = None


def shared(work: Callable[[], T]) -> T:
    """What the first process gets from `work`, on all; where that fails, the others end without a word."""
    if world().size == 1:
        return work()
    if not leads():
        status, result = _told(None)
        if status is not None:
            raise SystemExit(status)
        return result  # type: ignore[no-any-return]
    try:
        result = work()
    except BaseException as error:
        _told((_exit_status(error), None))
        raise
    _told((None, result))
    return result


def any_of(*claims: bool) -> list[bool]:
    """For each claim, whether it is true in any process; all ask at once."""
    if world().size == 1:
        return list(claims)
    import torch
    import torch.distributed as dist

    flags = torch.tensor(claims, dtype=torch.uint8)
    dist.all_reduce(flags, dist.ReduceOp.MAX, group=_Meeting.patient)
    return [bool(flag) for flag in flags]


def tells() -> bool:
    """Whether this process tells what it failed of: the first that fails does."""
    if world().size == 1:
        return True
    if _Meeting.store is None:  # they have not met, so all of a machine fail of the same
        return world().local_rank == 0
    try:
        return bool(_Meeting.store.add("told", 1) == 1)
    except RuntimeError:  # the store has ended with the first process
        return leads()


def is_loss(error: BaseException) -> bool:
    """Whether an error says that another process is gone."""
    if world().size == 1 or not isinstance(error, RuntimeError):
        return False
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error)


def _told(content: Any) -> Any:
    import torch.distributed as dist

    box = [content]
    dist.broadcast_object_list(box, src=0, group=_Meeting.patient)
    return box[0]


def _exit_status(error: BaseException) -> int:
    """That of the whole command."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 2 if isinstance(error, OarpipeError | OSError) else 1
