"""Starts commands within milliseconds, each in a process of its own whose disk may fail (disk.c).

The server has disk.c preloaded and everything imported, and forks for each command. It reads a command a
line (JSON), and answers with its exit status, or minus the number of the signal that ended it.
"""

import ctypes
import json
import os
import sys
from importlib import import_module

import oarpipe.training.loop
from oarpipe.arguments import TABLE_OF
from oarpipe.base import heartbeat
from oarpipe.cli import command, main

IMPORTED = [
    *("data.images", "data.order_table", "data.sample_store", "data.sources", "data.token_store"),
    *("decoding.batches", "decoding.extraction", "decoding.generation", "metrics.bootstrap"),
    *("metrics.extractors", "metrics.fidelity", "models.order_head", "reports.pages", "tokenizers.vqgan"),
    *("training.classifier", "training.gan_loop", "training.order_head"),
]


def serve(library: str) -> None:
    """Answers until the end of its input."""
    disk = ctypes.CDLL(library)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _carry_out(disk, **asked)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _carry_out(
    disk: ctypes.CDLL, words: list[str], folder: str, told: str, said: str, at: int, how: int
) -> None:
    """In the child: what it says goes into the file `said`, what it does to files into `told`."""
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    disk.fault_arm(folder.encode(), told.encode(), ctypes.c_long(at), how)
    status: object = 1
    try:
        status = main(words)
    except SystemExit as left:
        status = left.code
    finally:
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def prepare() -> None:
    """Imports what stages import, and takes waiting and measuring out of them."""
    for name in [*(f"oarpipe.{name}" for name in IMPORTED), "pandas", "torch._dynamo", "matplotlib.pyplot"]:
        import_module(name)
    for verb in TABLE_OF:
        command(verb)
    setattr(oarpipe.training.loop, "gemm_rate", lambda *_: 1e11)  # noqa: B010 (measuring takes seconds)
    heartbeat.SETTLE = heartbeat.LOOK = 0.01
    heartbeat.BEAT = 3600.0  # a beat in between would shift the operations that are counted
    # A writer that died before it gave its name is given up after a tenth of a second, not after minutes.
    setattr(heartbeat, "DEAD_AFTER", 0.1 / heartbeat.BEAT)  # noqa: B010
    setattr(heartbeat, "WATCHED", 0.1 / heartbeat.BEAT)  # noqa: B010


if __name__ == "__main__":
    prepare()
    serve(sys.argv[1])
