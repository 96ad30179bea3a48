"""The profiles know every rule: what each asks of a cluster, and that it can be had there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "workflow/profiles/slurm"
PROFILE: dict[str, Any] = yaml.safe_load((SLURM / "profile.yaml").read_text())
PARTITIONS: dict[str, dict[str, Any]] = yaml.safe_load((SLURM / "partitions.yaml").read_text())["partitions"]


def rules() -> dict[str, str]:
    """The text of every rule that runs as a job, by name."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for part in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            name, _, body = part.partition(":")
            if "localrule: True" not in body:
                found[name] = body
    return found


def gpus(body: str) -> int:
    """How many GPUs a rule asks for."""
    asked = re.search(r"\bgpu=(\d+)", body)
    return int(asked[1]) if asked else 0


def test_the_slurm_profile_names_every_rule_that_is_a_job() -> None:
    assert set(PROFILE["set-resources"]) == set(rules())
    assert set(PROFILE["set-threads"]) <= set(rules())


@pytest.mark.parametrize("rule", rules())
def test_a_rule_says_what_it_needs_and_leaves_the_model_of_the_gpu_to_the_profile(rule: str) -> None:
    body = rules()[rule]
    assert {"mem_mb", "runtime"} <= set(re.findall(r"^        (\w+)=", body, flags=re.MULTILINE))
    assert not re.search(r"gpu_model|slurm_|\bgres=|\bretries:|\bgroup:", body)


@pytest.mark.parametrize("rule", rules())
def test_what_the_profile_asks_for_can_be_had(rule: str) -> None:
    asked = PROFILE["set-resources"][rule]
    assert asked.get("gpu", 0) == gpus(rules()[rule])
    assert ("gpu_model" in asked) == (gpus(rules()[rule]) > 0)
    partition = PARTITIONS[asked.get("gpu_model", "cpu")]
    assert asked.get("gpu_model") in [None, *partition.get("available_gpu_models", [])]
    assert PROFILE["set-threads"].get(rule, 1) <= partition["max_cpus_per_task"]
    for attempt in range(1, PROFILE["retries"] + 2):
        needs = {
            key: eval(str(asked[key]), {"min": min, "attempt": attempt})  # as Snakemake does
            for key in ("mem_mb", "runtime")
        }
        assert needs["mem_mb"] <= partition["max_mem_mb"]
        assert needs["runtime"] <= int(partition["max_runtime"].removesuffix("h")) * 60


def test_a_job_that_runs_again_writes_on_in_its_log() -> None:
    extras = [PROFILE["default-resources"], *PROFILE["set-resources"].values()]
    assert all("--open-mode=append" in asked["slurm_extra"] for asked in extras if "slurm_extra" in asked)
    assert "slurm_extra" in PROFILE["default-resources"]


def test_jobs_are_neither_grouped_nor_made_an_array() -> None:
    assert not [key for key in PROFILE if "group" in key or "array" in key]
