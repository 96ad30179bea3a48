"""What tests of several rooms share: small models, and published weights by rule."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from oarpipe.base.grid import Grid
from oarpipe.models.position_tokens import PositionTokens

# As `make test` says it, for a plain `pytest`: sums of other processes are compared bit by bit.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

GOLDEN = Path(__file__).parent / "golden"


def published_weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state_dict by the rule of the golden values: noise seeded by each parameter's published name."""
    return {key: published_tensor(key, tuple(tensor.shape)) for key, tensor in module.state_dict().items()}


def published_tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """One tensor by that rule."""
    drawn = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) == 1:
        drawn = 1 + 0.1 * drawn if key.endswith("weight") else 0.05 * drawn
    elif "embedding" in key:
        drawn = 0.5 * drawn
    else:
        drawn = drawn / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(drawn, dtype=torch.float32)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a GPU the summary names the tests that did not run for want of one."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture
def randar() -> PositionTokens:
    """The small RandAR of the golden file, with its weights."""
    model = PositionTokens(grid=Grid(4, 4), codebook=97, classes=10, layers=3, heads=4, width=64)
    model.load_state_dict(published_weights(model))
    return model.eval()


@pytest.fixture
def randar_golden() -> dict[str, np.ndarray]:
    """The official implementation's inputs and outputs for `randar`."""
    with np.load(GOLDEN / "randar_small_dev.npz", allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture
def tiny_model() -> Callable[..., PositionTokens]:
    """Makes the smallest model that can be wrong: a 4x4 grid, 11 codes, 5 classes, width 32.

    Its weights are large random numbers, so that every answer matters; `fresh=True` initialises it as
    for training.
    """

    def make(*, grid: Grid = Grid(4, 4), fresh: bool = False, **sizes: float) -> PositionTokens:  # noqa: B008
        options = {"layers": 2, "heads": 2, "width": 32, **sizes}
        model = PositionTokens(grid=grid, codebook=11, classes=5, **options)  # type: ignore[arg-type]
        if fresh:
            model.initialise(0)
        else:
            model.load_state_dict(published_weights(model))
        return model.eval()

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says aloud which tests were not run for want of something of the machine, and why."""
    reasons = {
        report.longrepr[2]
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple) and "NOT RUN" in report.longrepr[2]
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(reason.removeprefix("Skipped: "), red=True, bold=True)
