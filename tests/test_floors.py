"""The house stands: imports point down, and the light rooms stay light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import oarpipe
from oarpipe.stages import VERBS

SOURCE = Path(oarpipe.__file__).parent

FLOORS = {
    "config": 0,
    "errors": 0,
    "base": 1,
    "orders": 2,
    "data": 3,
    "metrics": 3,
    "tokenizers": 4,
    "models": 4,
    "decoding": 5,
    "training": 5,
    "benchmarks": 6,
    "reports": 6,
    "study": 6,
    "stages": 7,
    "arguments": 8,
    "tools": 8,
    "cli": 9,
    "door": 9,
    "__main__": 10,
    "slurm": 10,
    "__init__": 10,
}

# `errors` is one word for every room, and `cli` asks its neighbours below for their tables.
FREE = {"errors"}


def room(module: str) -> str:
    """The room of `oarpipe.<room>…`; the package itself is `__init__`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(file: Path) -> Iterator[str]:
    """The modules of oarpipe that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "oarpipe")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module and node.module.split(".")[0] == "oarpipe":
                names = [f"oarpipe.{alias.name}" for alias in node.names] if node.module == "oarpipe" else []
                yield from (n for n in names if room(n) in FLOORS) if names else [node.module]


def test_every_room_has_a_floor() -> None:
    rooms = {
        path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms <= set(FLOORS)


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("*.py")), ids=lambda f: str(f.relative_to(SOURCE)))
def test_imports_point_down_and_never_sideways(file: Path) -> None:
    own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    for module in imports(file):
        other = room(module)
        if other in (own, *FREE):
            continue
        assert FLOORS[other] < FLOORS[own], f"{own} (floor {FLOORS[own]}) imports {module}"


def modules_after(statement: str) -> set[str]:
    """The top-level packages that are loaded after a statement in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


HEAVY = {"torch", "torchvision", "torch_fidelity", "sklearn", "scipy", "matplotlib", "zarr", "pandas"}


def test_the_configuration_floor_loads_neither_torch_nor_numpy() -> None:
    names = sorted(f.stem for f in (SOURCE / "config").glob("*.py") if f.stem != "__init__")
    loaded = modules_after("\n".join(f"import oarpipe.config.{name}" for name in names))
    assert not loaded & (HEAVY | {"numpy"})


def test_importing_every_stage_and_the_command_line_loads_nothing_heavy() -> None:
    verbs = [verb for verbs in VERBS.values() for verb in verbs]
    lines = ["import oarpipe.cli", *(f"import oarpipe.stages.{verb}" for verb in verbs)]
    assert not modules_after("\n".join(lines)) & HEAVY
