"""Checkpoints: weights, optimiser state and one integer, in safetensors files that are whole or absent.

safetensors has no checksums, so each file tells one of what it holds, or a flipped bit would be trained on.
Randomness is a function (base/noise), so there is no generator state to save, and a run that is killed
and started again ends bit-identical to one that was not. They hold whole tensors, so any number of
processes can go on from what any other number saved.
"""

import re
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from oarpipe.base.distributed import shared
from oarpipe.base.files import write_atomically
from oarpipe.base.log import log
from oarpipe.errors import IncompleteData
from oarpipe.training.parallel import gathered, shared_out


class Checkpoints:
    """The checkpoints of one run: `step-000000123.safetensors`, the last two kept."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder = folder
        self._seconds = minutes * 60
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for another."""
        return time.monotonic() - self._last >= self._seconds

    def save(
        self, step: int, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
    ) -> None:
        """Saves the state after `step` steps; older checkpoints but one are deleted.

        Of several processes all take part, and the first one writes.
        """
        tensors = {f"{name}/{key}": t for name, m in modules.items() for key, t in m.state_dict().items()}
        for name, optimizer in optimizers.items():
            tensors |= {f"{name}/{key}": t for key, t in _optimizer_tensors(optimizer).items()}
        kept = {key: tensor.contiguous().clone() for key, tensor in gathered(tensors).items()}
        shared(lambda: self._write(step, kept))
        self._last = time.monotonic()

    def _write(self, step: int, tensors: dict[str, Tensor]) -> None:
        facts = {"crc32": _crc32(tensors)}
        write_atomically(
            self.folder / f"step-{step:09d}.safetensors", lambda file: save_file(tensors, file, facts)
        )
        for _, old in self._found()[:-2]:
            old.unlink()

    def restore(
        self, modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
    ) -> int:
        """Loads the newest checkpoint; returns its step, 0 if there is none.

        A damaged one raises `IncompleteData`, which says what to delete to go on from the one before.
        """
        found = shared(self._found)
        if not found:
            return 0
        step, file = found[-1]
        try:
            with safe_open(file, framework="pt") as handle:
                tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 (not a dict)
                if (handle.metadata() or {}).get("crc32") != _crc32(tensors):
                    raise ValueError("its content is not what was written")
            for name, module in modules.items():
                _load_module(module, _under(name, tensors))
            for name, optimizer in optimizers.items():
                _load_optimizer(optimizer, _under(name, tensors))
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, IndexError) as error:
            before = f"step {found[-2][0]}" if len(found) > 1 else "the beginning"
            raise IncompleteData(
                f"{file}: damaged checkpoint ({' '.join(str(error).split())[:120]}); "
                f"delete it to go on from {before}"
            ) from error
        log.info("resuming at step %d from %s", step, file)
        return step

    def _found(self) -> list[tuple[int, Path]]:
        pattern = re.compile(r"step-(\d+)\.safetensors")
        files = self.folder.glob("step-*.safetensors") if self.folder.is_dir() else []
        return sorted((int(m[1]), f) for f in files if (m := pattern.fullmatch(f.name)))


def _crc32(tensors: Mapping[str, Tensor]) -> str:
    """A checksum of names, types, shapes and values; 4 GB a second where sha256 makes 1.6."""
    found = 0
    for key, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{key} {tensor.dtype} {list(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{key}": torch.as_tensor(value)
        for index, entries in state.items()
        for key, value in entries.items()
    }


def _load_module(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    present = module.state_dict()
    module.load_state_dict({k: shared_out(t, present[k]) if k in present else t for k, t in tensors.items()})


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = shared_out(tensor, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{name}/"
    return {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
