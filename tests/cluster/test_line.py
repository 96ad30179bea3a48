"""`snakemake --profile slurm` on a real Slurm: what it asks for, what runs at once, and what comes out."""

import json
from collections import Counter
from datetime import datetime

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.cluster.line import Line
from tests.cluster.slurm import Cluster, wait_for

pytestmark = pytest.mark.slurm

GPU_RULES = {
    *("train_features", "train_tokenizer", "tokenize", "train", "distill", "extract", "train_order_head"),
    *("generate", "search", "features", "evaluate", "information"),
}
CPU_RULES = {"index", "merge_orders", "merge_samples"}
MODEL = "results/tiny/seed-0/models/any"


@pytest.fixture(scope="module")
def carried_out(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The tiny line, carried out by Slurm, while a second Snakemake wanted to do the same."""
    with Line(tmp_path_factory.mktemp("carried_out")) as line:
        run = line.start()
        wait_for(lambda: any(line.folder.glob(".snakemake/locks/*")), "Snakemake to lock the folder")
        line.start().ends()
        run.ends_well()
        return line


@pytest.fixture(scope="module")
def jobs(cluster: Cluster, carried_out: Line) -> list[dict[str, str]]:
    """What Slurm tells of the line's jobs."""
    return cluster.jobs(carried_out.folder)


def test_every_rule_runs_as_jobs_of_its_own_and_the_report_without_one(
    carried_out: Line, jobs: list[dict[str, str]]
) -> None:
    assert (carried_out.folder / "results/tiny/reports/tiny/report.html").is_file()
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    counted = Counter(job["Rule"] for job in jobs)
    assert set(counted) == GPU_RULES | CPU_RULES
    assert (counted["extract"], counted["generate"]) == (2 * 2, 4)


def test_gpu_rules_ask_for_one_h100_and_the_others_for_none(jobs: list[dict[str, str]]) -> None:
    asked = {(job["Rule"], job["Partition"], job.get("TresPerJob")) for job in jobs}
    assert asked == {(rule, "h100", "gres:gpu:h100:1") for rule in GPU_RULES} | {
        (rule, "cpu", None) for rule in CPU_RULES
    }


def test_memory_time_and_cores_are_the_profiles(jobs: list[dict[str, str]]) -> None:
    keys = ("MinMemoryNode", "TimeLimit", "NumCPUs")
    asked = {job["Rule"]: tuple(job[key] for key in keys) for job in jobs}
    assert asked["train"] == ("32000M", "1-00:00:00", "8")
    assert asked["extract"] == ("16000M", "12:00:00", "4")
    assert asked["merge_samples"] == ("8000M", "02:00:00", "1")


def test_the_shares_of_an_extraction_run_at_the_same_time(jobs: list[dict[str, str]]) -> None:
    shares = [job for job in jobs if "/rule_extract/tiny_0_greedy_" in job["StdOut"]]
    runs = [tuple(datetime.fromisoformat(job[key]) for key in ("StartTime", "EndTime")) for job in shares]
    assert max(sum(begin <= start < end for begin, end in runs) for start, _ in runs) > 1


def test_the_results_are_those_of_a_run_without_slurm(carried_out: Line, undisturbed: Line) -> None:
    assert carried_out.digests() == undisturbed.digests()


def test_a_second_snakemake_at_the_same_time_is_refused(carried_out: Line) -> None:
    second = carried_out.started[1]
    assert second.ends() == 1
    assert "Directory cannot be locked" in second.said()


def test_every_job_leaves_a_log_of_its_own(carried_out: Line, jobs: list[dict[str, str]]) -> None:
    logs = list((carried_out.folder / "results/logs/slurm").rglob("*.log"))
    assert {log.stem for log in logs} == {job["JobId"] for job in jobs}
    assert all("Finished jobid: 0" in log.read_text() for log in logs)


def test_a_finished_line_submits_nothing(cluster: Cluster, carried_out: Line) -> None:
    before = len(cluster.jobs(carried_out.folder))
    assert "Nothing to be done" in carried_out.start().ends_well()
    assert len(cluster.jobs(carried_out.folder)) == before


def test_a_sites_own_slurm_profile_serves_as_well(cluster: Cluster, line: Line) -> None:
    (line.folder / "slurm").unlink()
    own = line.folder / "home" / "snakemake" / "slurm"
    own.mkdir(parents=True)
    resources = ["slurm_account=site", "slurm_partition=h100"]
    (own / "profile.yaml").write_text(yaml.safe_dump({"executor": "slurm", "default-resources": resources}))
    words = ["--jobs", "1", "--slurm-status-command", "squeue", "--slurm-logdir", "results/logs/slurm"]
    line.start(*words, "results/tiny/seed-0/features/digits/receipt.json").ends_well()
    asked = {job["Rule"]: job for job in cluster.jobs(line.folder)}
    assert {job["Account"] for job in asked.values()} == {"site"}
    assert "TresPerJob" not in asked["index"]
    assert asked["train_features"]["TresPerJob"] == "gres:gpu:1"
    assert asked["train_features"]["MinMemoryNode"] == "8000M"


def test_two_nodes_train_one_model_together(cluster: Cluster, line: Line, undisturbed: Line) -> None:
    line.take_over(undisturbed, without=MODEL)
    profile = yaml.safe_load((line.folder / "slurm/profile.yaml").read_text())
    needs = {"gpu": 4, "nodes": 2, "mpi": "'srun'", "tasks_per_node": 2, "slurm_partition": "'pair'"}
    profile["set-resources"]["train"] |= needs
    (line.folder / "slurm/profile.yaml").write_text(yaml.safe_dump(profile))
    line.start(f"{MODEL}/receipt.json").ends_well()
    (job,) = cluster.jobs(line.folder)
    assert (job["NodeList"], job["NumTasks"], job["TresPerJob"]) == ("pair[01-02]", "4", "gres:gpu:h100:4")
    assert json.loads((line.folder / MODEL / "run.json").read_text())["processes"] == 4
    together, alone = (load_file(each.folder / MODEL / "model.safetensors") for each in (line, undisturbed))
    assert together.keys() == alone.keys()
    assert all(torch.allclose(together[key], alone[key], atol=1e-5) for key in alone)
