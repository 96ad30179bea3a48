"""A walk of which some steps are carried out and timed, for models that take minutes an image."""

import time

import torch
from torch import Tensor

from oarpipe.benchmarks.machine import Machine
from oarpipe.decoding.protocol import Emission, Policy, View


class Sampled:
    """Goes by `policy` and looks at the clock at one step in `every`; between them it fills the first place.

    A step's work falls evenly with what is open, so that the middle one of `every` stands for all.
    """

    def __init__(self, policy: Policy, every: int, machine: Machine) -> None:
        self.policy, self.every, self.machine = policy, every, machine
        self._begin: float | None = None
        self._times: list[float] = []
        self._steps = 0

    def candidates(self, view: View) -> Tensor:
        """All that the policy asks about, or the first open place."""
        self._stop()
        self._steps += 1
        if view.filled % self.every != self.every // 2:
            return view.open[:, :1]
        self.machine.wait()
        self._begin = time.perf_counter()
        return self.policy.candidates(view)

    def choose(self, view: View, candidates: Tensor, emission: Emission) -> tuple[Tensor, Tensor]:
        """The policy's choice, or the only one."""
        if self._begin is not None:
            return self.policy.choose(view, candidates, emission)
        column = torch.zeros_like(candidates[:, :1])
        return column, column.float()

    def seconds(self) -> float:
        """What all steps would take."""
        self._stop()
        return self._steps * sum(self._times) / len(self._times)

    def _stop(self) -> None:
        if self._begin is not None:
            self.machine.wait()
            self._times.append(time.perf_counter() - self._begin)
            self._begin = None
