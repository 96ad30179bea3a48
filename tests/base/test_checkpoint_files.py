"""Published weights are read without executing anything, and compared name by name."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from oarpipe.base.checkpoint_files import check_tensors, read_checkpoint
from oarpipe.errors import BadInput, IncompleteData

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


class Stranger:
    """What a training script may leave in its checkpoint."""


def saved(file: Path, content: Any) -> Path:
    torch.save(content, file)
    return file


def assert_same(found: dict[str, torch.Tensor]) -> None:
    assert list(found) == list(TENSORS)
    for key, tensor in TENSORS.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")
    assert_same(read_checkpoint(tmp_path / "x.safetensors"))


@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"model": TENSORS, "optimizer": {"state": {0: torch.ones(3)}}, "steps": 5},
        {"module": TENSORS},
        {"state_dict": TENSORS, "epoch": 3, "hyper_parameters": {"lr": 1e-4}},
        {"state_dict": {"model": TENSORS}},
    ],
    ids=["bare", "model", "module", "state_dict", "two wrappers"],
)
def test_the_wrappers_of_training_scripts_are_taken_off(tmp_path: Path, content: Any) -> None:
    assert_same(read_checkpoint(saved(tmp_path / "x.pt", content)))


def test_pytorchs_older_form_is_read(tmp_path: Path) -> None:
    torch.save({"model": TENSORS}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert_same(read_checkpoint(tmp_path / "x.pt"))


@pytest.mark.parametrize("kept", [0, 4, 200, 700])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, kept: int) -> None:
    whole = {"a": torch.arange(4000.0)}
    file = tmp_path / f"x{suffix}"
    save_file(whole, file) if suffix == ".safetensors" else torch.save(whole, file)
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(IncompleteData, match=f"x{suffix}: truncated, damaged or no file of weights"):
        read_checkpoint(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(IncompleteData, match=r"none\.pt: no such file"):
        read_checkpoint(tmp_path / "none.pt")


def test_pickled_objects_are_refused_by_name_with_the_command_that_leaves_them_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path / "it's.ckpt", {"state_dict": TENSORS, "callbacks": Stranger()})
    with pytest.raises(BadInput, match=r"Stranger.*are not loaded") as caught:
        read_checkpoint(file)
    program, option, code = shlex.split(str(caught.value).rpartition("installed: ")[2])
    assert (program, option) == ("python", "-c")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # here, since only here is there a Stranger
    assert_same(read_checkpoint(tmp_path / "it's.weights.pt"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (torch.ones(2), "expected tensors by name, got a Tensor"),
        ({"model": {"a": torch.ones(2), "steps": 5}}, "other things: steps"),
        ({}, "it is empty"),
    ],
)
def test_what_is_not_tensors_by_name_is_told(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read_checkpoint(saved(tmp_path / "x.pt", content))


def test_missing_unexpected_and_misshapen_keys_are_named_together() -> None:
    expected = {"a.weight": torch.Size([3, 2]), "c": torch.Size([1])}
    with pytest.raises(BadInput) as caught:
        check_tensors(TENSORS, expected, "x.pt: not a net")
    assert str(caught.value) == (
        "x.pt: not a net: of its 2 tensors 1 missing: c; 1 unexpected: b; "
        "1 of another shape: a.weight is 2x3, expected 3x2"
    )


def test_many_keys_are_named_in_part() -> None:
    expected = {f"k{i}": torch.Size([1]) for i in range(9)}
    with pytest.raises(BadInput, match=r"9 missing: k0, k1, k2, k3 and 5 more$"):
        check_tensors({}, expected, "x.pt")


def test_what_fits_passes() -> None:
    check_tensors(TENSORS, {key: tensor.shape for key, tensor in TENSORS.items()}, "x.pt")
