"""Walks recorded once as a CUDA graph and replayed: thousands of small kernels without their launches."""

from collections.abc import Callable

import torch
from torch import Tensor

from oarpipe.base.log import log
from oarpipe.config.orders import PolicyConfig
from oarpipe.decoding.protocol import Walk

Walking = Callable[..., Walk]
# A walk and its inputs -> what replays it, and the walk that every replay writes anew
Record = Callable[[Walking, list[Tensor]], tuple[Callable[[], None], Walk]]


def replayed(walking: Walking, policy: PolicyConfig, device: torch.device) -> Walking:
    """`walking`, a function of tensors, replayed where that can be done: on GPUs, by policies that never
    look at a number on the host.
    """
    if device.type != "cuda" or policy.select == "predicted":
        return walking
    return Replayed(walking, _record_cuda)


class Replayed:
    """Runs a walk the first time it meets its inputs' shapes, records it the second, replays it from then on.

    What was recorded must give what running gave, to the last code; else the walk is run each time.
    """

    def __init__(self, walking: Walking, record: Record) -> None:
        self.walking, self.record = walking, record
        self._met: set[object] = set()
        self._recorded: dict[object, tuple[list[Tensor], Callable[[], None], Walk]] = {}
        self._fails = False

    def __call__(self, *inputs: Tensor) -> Walk:
        """The walk of these inputs, in memory of its own."""
        shapes = tuple(x.shape for x in inputs)
        if shapes in self._recorded:
            return self._replay(shapes, inputs)
        found = self.walking(*inputs)
        if shapes in self._met and not self._fails:
            self._try(shapes, inputs, found)
        self._met.add(shapes)
        return found

    def _try(self, shapes: object, inputs: tuple[Tensor, ...], found: Walk) -> None:
        static = [x.clone() for x in inputs]
        try:
            replay, walk = self.record(self.walking, static)
        except RuntimeError as error:
            self._give_up(f"it could not be recorded ({str(error).splitlines()[0]})")
            return
        self._recorded[shapes] = static, replay, walk
        again = self._replay(shapes, inputs)
        if not (torch.equal(again.order, found.order) and torch.equal(again.tokens, found.tokens)):
            del self._recorded[shapes]
            self._give_up("what was recorded gave another order")

    def _give_up(self, why: str) -> None:
        self._fails = True
        log.warning("walks run without a CUDA graph, which is slower: %s", why)

    def _replay(self, shapes: object, inputs: tuple[Tensor, ...]) -> Walk:
        static, replay, walk = self._recorded[shapes]
        for place, x in zip(static, inputs, strict=True):
            place.copy_(x)
        replay()
        return Walk(**{name: x.clone() for name, x in vars(walk).items() if x is not None})


def _record_cuda(walking: Walking, inputs: list[Tensor]) -> tuple[Callable[[], None], Walk]:
    torch.cuda.empty_cache()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        walk = walking(*inputs)
    return graph.replay, walk
