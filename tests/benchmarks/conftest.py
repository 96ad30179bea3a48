"""A machine that is looked at in a moment: small products and buffers."""

import pytest
import torch

from oarpipe.benchmarks import machine
from oarpipe.benchmarks.machine import Machine

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine._GEMM, "cpu", 32)
    monkeypatch.setitem(machine._BUFFER, "cpu", 2**12)


@pytest.fixture
def here() -> Machine:
    """This CPU, as if it read 1000 bytes a second."""
    return Machine(CPU, 1000.0, {})
