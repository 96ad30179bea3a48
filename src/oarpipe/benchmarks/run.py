"""A whole benchmark: the machine, its sections one after another, and the goals that they answer."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from oarpipe.base.devices import pick_device
from oarpipe.base.log import log
from oarpipe.benchmarks.goals import goals
from oarpipe.benchmarks.images import images, loader
from oarpipe.benchmarks.machine import Machine, look_at
from oarpipe.benchmarks.memory import memory
from oarpipe.benchmarks.profiles import profiles
from oarpipe.benchmarks.sections import exact, extraction, generation, oracle, table8
from oarpipe.benchmarks.training import training
from oarpipe.config.benchmarks import BenchmarkConfig, Section


@dataclass(frozen=True)
class Part:
    """A section: its heading, a sentence about it, and what measures it."""

    title: str
    about: str
    measure: Callable[[BenchmarkConfig, Machine], dict[str, Any]]

    def facts(self, config: BenchmarkConfig, machine: Machine) -> dict[str, Any]:
        """What was found, under its heading."""
        return {"title": self.title, "about": self.about, **self.measure(config, machine)}


PARTS: dict[Section, Part] = {
    "table8": Part("Ways to generate one image", "The rows of the paper's Table 8.", table8),
    "oracle": Part(
        "Extraction against its oracle",
        "Three decoders that give the same orders; the floor is the first one's.",
        oracle,
    ),
    "extraction": Part("Extraction", "Orders of given images.", extraction),
    "exact": Part("Exact extraction with a large model", "By a sample of the walk's steps.", exact),
    "generation": Part(
        "Generation", "Codes only, without decoding them to pixels. Guidance is 2.", generation
    ),
    "images": Part("Images to codes and back", "One image at a time.", images),
    "loader": Part("Loading", "", loader),
    "training": Part("Training", "One batch of random codes in random orders, with dropout.", training),
    "memory": Part(
        "Memory of exact extraction",
        "What a walk adds to the most that was ever held, beside the closed form that sizes a batch.",
        memory,
    ),
    "profile": Part("Where the time goes", "Shares of one run, by torch.profiler.", profiles),
}


def figures(config: BenchmarkConfig) -> dict[str, Any]:
    """Everything an entry asks for, as plain data: `machine`, `sections`, `goals`, `peers`, `entry`."""
    device = pick_device(config.device)
    log.info("benchmark: the machine")
    machine = look_at(device)
    sections: dict[str, Any] = {
        name: part.facts(config, machine) for name, part in PARTS.items() if name in config.sections
    }
    return {
        "format": 1,
        "machine": machine.facts,
        "sections": sections,
        "goals": [goal.facts() for goal in goals(config, sections, device.type)],
        "peers": peers(),
        "entry": config.model_dump(mode="json"),
    }


def peers() -> list[dict[str, str]]:
    """What others published of their systems, with the hardware and where it stands."""
    text = (files("oarpipe.benchmarks") / "peers.csv").read_text()
    return list(csv.DictReader(text.splitlines()))
