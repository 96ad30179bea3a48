"""How many images are walked together where the recipe leaves it to the machine (`batch: auto`)."""

from typing import Literal

from oarpipe.base.devices import free_memory
from oarpipe.config.orders import PolicyConfig
from oarpipe.config.training import Precision
from oarpipe.decoding.flops import most_asked
from oarpipe.models.flops import ModelSize
from oarpipe.models.memory import walk_bytes
from oarpipe.models.token_model import TokenModel

# Of what is free: the rest is the allocator's, and what the closed form does not know.
SHARE = 0.8
# Rows of a step that keep a device's products at full speed; more images only take more memory.
ENOUGH_ROWS = {"cpu": 2**14, "cuda": 2**17}
MOST = 1024


def fitting_batch(
    model: TokenModel, policy: PolicyConfig, precision: Precision, *, most: int, guided: bool = False
) -> int:
    """A power of two that `model`'s device has memory for now, at most `most`; at least one image."""
    device = next(model.parameters()).device
    kind: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
    size, free = ModelSize.of(model), SHARE * free_memory(device)
    queries = most_asked(size, policy)

    def fits(samples: int) -> bool:
        taken = walk_bytes(
            size,
            model.classes,
            samples=samples,
            queries=queries,
            precision=precision,
            branches=2 if guided else 1,
            device=kind,
        )
        return taken <= free and samples * queries <= ENOUGH_ROWS[kind] and samples <= min(most, MOST)

    batch = 1
    while fits(2 * batch):
        batch *= 2
    return batch
