"""Memory that every pass of a walk uses again."""

from math import prod

from torch import Tensor


class Scratch:
    """Named buffers, each as large as its largest use: a walk's steps would else ask for new memory,
    page by page, at every layer, and a graph of them could not be replayed.
    """

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._buffers: dict[str, Tensor] = {}
        self._taken: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """A contiguous tensor of this shape, whatever it holds; valid until its name is taken again."""
        taken = self._taken.get(name)
        if taken is not None and taken.shape == shape:
            return taken
        size = prod(shape)
        buffer = self._buffers.get(name)
        if buffer is None or buffer.numel() < size:
            buffer = self._buffers[name] = self._like.new_empty(size)
        self._taken[name] = buffer[:size].view(shape)
        return self._taken[name]
