"""A whole benchmark: the machine, its sections one after another, and the goals that they answer."""

import csv
from collections.abc import Callable
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

SECTIONS: dict[Section, Callable[[BenchmarkConfig, Machine], dict[str, Any]]] = {
    "table8": table8,
    "oracle": oracle,
    "extraction": extraction,
    "exact": exact,
    "generation": generation,
    "training": training,
    "images": images,
    "loader": loader,
    "memory": memory,
    "profile": profiles,
}


def figures(config: BenchmarkConfig) -> dict[str, Any]:
    """Everything an entry asks for, as plain data: `machine`, `sections`, `goals`, `peers`, `entry`."""
    device = pick_device(config.device)
    log.info("benchmark: the machine")
    machine = look_at(device)
    sections: dict[str, Any] = {
        name: SECTIONS[name](config, machine) for name in SECTIONS if name in config.sections
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
