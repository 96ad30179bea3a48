"""Several processes at one piece of work, as torchrun would start them; gloo carries what they say."""

import os
import pickle
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from oarpipe.base.distributed import joined
from tests.children import CONTEXT


def together(work: Callable[..., Any], *arguments: Any, size: int = 2) -> list[Any]:
    """What `work` returns in each of `size` processes; what it raises there is raised here."""
    CONTEXT.set_forkserver_preload(["tests.children", "tests.processes"])
    port = str(free_port())
    pipes = [CONTEXT.Pipe(duplex=False) for _ in range(size)]
    children = [
        CONTEXT.Process(target=_process, args=(rank, size, port, pipe[1], work, arguments))
        for rank, pipe in enumerate(pipes)
    ]
    for child in children:
        child.start()
    for _, far in pipes:
        far.close()
    try:
        results = [pickle.loads(near.recv_bytes()) for near, _ in pipes]
    finally:
        for child in children:
            child.join(20)
            child.kill()
    wrong = [result for result, failed in results if failed]
    assert not wrong, wrong[0]
    return [result for result, _ in results]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _process(
    rank: int, size: int, port: str, pipe: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.set_num_threads(1)
    try:
        with joined():
            pipe.send_bytes(pickle.dumps((work(*arguments), False)))  # `send` would share the tensors' memory
    except BaseException:
        pipe.send_bytes(pickle.dumps((traceback.format_exc(), True)))
