"""Which rows of a step's batch each of several processes computes with.

A batch is cut into parts (microbatches), whatever the number of processes; each part has its own seed
of dropout. Where the parts can be dealt out evenly, every process takes whole ones; else all processes
divide each part. Either way the sum of what they compute is what one process would.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from oarpipe.base.distributed import world
from oarpipe.errors import BadInput


@dataclass(frozen=True)
class Share:
    """Rows `begin..end` of the batch, for one forward; they are of part `part`, rows `first..last`."""

    begin: int
    end: int
    part: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.end - self.begin


def shares(batch: int, microbatch: int | None) -> list[Share]:
    """This process's rows: whole parts if they can be dealt out evenly, else its rows of every part."""
    here, parts = world(), _parts(batch, microbatch)
    if len(parts) % here.size == 0:
        each = len(parts) // here.size
        return parts[here.rank * each : (here.rank + 1) * each]
    return divided(batch, microbatch)


def divided(batch: int, microbatch: int | None) -> list[Share]:
    """This process's rows of every part."""
    here, parts = world(), _parts(batch, microbatch)
    smallest = min(map(len, parts))
    if smallest < here.size:
        raise BadInput(
            f"train.batch {batch} in microbatches of {microbatch or batch} has a part of {smallest} samples, "
            f"too few for {here.size} processes; run fewer (the rule's `gpu`), or change one of the two"
        )
    return [
        Share(
            part.first + len(part) * here.rank // here.size,
            part.first + len(part) * (here.rank + 1) // here.size,
            part.part,
            part.first,
            part.last,
        )
        for part in parts
    ]


def rows(of: list[Share]) -> Int[Tensor, " R"]:
    """The rows of the batch that these shares are."""
    return torch.cat([torch.arange(share.begin, share.end) for share in of])


def _parts(batch: int, microbatch: int | None) -> list[Share]:
    size = microbatch or batch
    return [
        Share(begin, min(begin + size, batch), part, begin, min(begin + size, batch))
        for part, begin in enumerate(range(0, batch, size))
    ]
