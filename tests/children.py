"""Commands in processes of their own, to be killed; what takes long to import is loaded once for all."""

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess

import oarpipe.data.order_table
import oarpipe.data.token_store
import oarpipe.stages.train
import oarpipe.training.loop
from oarpipe.cli import main

CONTEXT = multiprocessing.get_context("forkserver")


def start(words: list[str]) -> ForkServerProcess:
    """`oarpipe WORDS…` on one thread; its exit status is the process's `exitcode`."""
    CONTEXT.set_forkserver_preload(["tests.children"])
    child = CONTEXT.Process(target=_command, args=(words,))
    child.start()
    return child


def _command(words: list[str]) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    setattr(oarpipe.training.loop, "gemm_rate", lambda *_: 1e11)  # noqa: B010 (measuring takes seconds)
    sys.exit(main(words))
