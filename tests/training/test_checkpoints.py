"""Checkpoints are whole or absent; a damaged one is named, and the run goes on from the one before."""

import errno
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from oarpipe.base.stopping import STOPPED, stop_requested
from oarpipe.errors import IncompleteData
from oarpipe.training import loop
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.loop import fit
from tests.training.toy import lines, run, same, saving_at, weights


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "gemm_rate", lambda *_: 1e11)


def trained(steps: int, seed: int = 0) -> tuple[nn.Module, torch.optim.AdamW]:
    """A small network after some steps of AdamW."""
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(steps):
        network(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network, optimizer


def save(folder: Path, *steps: int) -> list[Path]:
    checkpoints = Checkpoints(folder, minutes=1.0)
    for step in steps:
        network, optimizer = trained(step)
        checkpoints.save(step, {"model": network}, {"optimizer": optimizer})
    return sorted(folder.iterdir())


def test_weights_moments_and_step_come_back_and_training_goes_on_alike(tmp_path: Path) -> None:
    save(tmp_path, 3)
    network, optimizer = trained(0, seed=1)
    assert Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer}) == 3
    network(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()
    assert same(weights(network), weights(trained(4)[0]))


def test_the_last_two_are_kept_under_their_steps(tmp_path: Path) -> None:
    names = [file.name for file in save(tmp_path, 2, 10, 9, 11)]
    assert names == ["step-000000010.safetensors", "step-000000011.safetensors"]


def test_there_is_nothing_to_restore_at_the_beginning(tmp_path: Path) -> None:
    network, optimizer = trained(0)
    before = weights(network)
    assert Checkpoints(tmp_path / "nowhere", 1.0).restore({"model": network}, {"optimizer": optimizer}) == 0
    assert same(before, weights(network))


def test_a_checkpoint_is_due_when_its_time_has_come_and_not_again_at_once(tmp_path: Path) -> None:
    network, optimizer = trained(1)
    assert not Checkpoints(tmp_path, minutes=60.0).due()
    hasty = Checkpoints(tmp_path, minutes=1e-9)
    assert hasty.due()
    patient = Checkpoints(tmp_path, minutes=60.0)
    patient._last -= 7200
    assert patient.due()
    patient.save(1, {"model": network}, {"optimizer": optimizer})
    assert not patient.due()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named_with_what_to_delete(tmp_path: Path, share: float) -> None:
    first, second = save(tmp_path, 2, 4)
    second.write_bytes(second.read_bytes()[: int(share * second.stat().st_size)])
    network, optimizer = trained(0)
    words = r"step-000000004\.safetensors: damaged checkpoint .* delete it to go on from step 2"
    with pytest.raises(IncompleteData, match=words):
        Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer})
    second.unlink()
    assert Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer}) == 2
    first.write_bytes(b"")
    with pytest.raises(IncompleteData, match="delete it to go on from the beginning"):
        Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer})


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    save(tmp_path, 2)
    with pytest.raises(IncompleteData, match=r"step-000000002\.safetensors"):
        Checkpoints(tmp_path, 1.0).restore({"model": nn.Linear(4, 2)}, {})


def test_half_a_file_of_a_killed_writer_is_no_checkpoint(tmp_path: Path) -> None:
    save(tmp_path, 2)
    (tmp_path / "step-000000004.safetensors.123.partial").write_bytes(b"half")
    network, optimizer = trained(0)
    assert Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer}) == 2


def test_a_full_disk_is_told_with_the_file_and_the_last_checkpoint_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = save(tmp_path, 2)

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("oarpipe.base.files.os.fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*step-000000004\.safetensors"):
        save(tmp_path, 4)
    assert list(tmp_path.iterdir()) == kept


def test_after_deleting_a_damaged_checkpoint_the_run_ends_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(fit(run(tmp_path / "whole")))
    broken = run(tmp_path / "broken")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", saving_at(2, 4))
        fit(broken)
    last = broken.checkpoints / "step-000000004.safetensors"
    last.write_bytes(last.read_bytes()[:-7])
    with pytest.raises(IncompleteData, match="go on from step 2"):
        fit(run(tmp_path / "broken"))
    last.unlink()
    again = run(tmp_path / "broken")
    assert same(expected, weights(fit(again)))
    assert [line["step"] for line in lines(again)] == list(range(6))


def test_sigterm_saves_after_the_step_and_asks_to_be_started_again(tmp_path: Path) -> None:
    def stop(model: nn.Module) -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        return 1.0

    stopped = run(tmp_path / "stopped", validate_every=4)
    with pytest.raises(SystemExit) as raised:
        fit(replace(stopped, validate=stop))
    assert raised.value.code == STOPPED
    assert [file.name for file in stopped.checkpoints.iterdir()] == ["step-000000004.safetensors"]
    expected = weights(fit(run(tmp_path / "whole")))
    assert same(expected, weights(fit(run(tmp_path / "stopped"))))


def test_the_process_gets_its_own_signal_handler_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requested() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_flipped_bit_anywhere_is_told(tmp_path: Path) -> None:
    (file,) = save(tmp_path, 2)
    content = file.read_bytes()
    for place in range(8, len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        network, optimizer = trained(0)
        with pytest.raises(IncompleteData, match="damaged checkpoint"):
            Checkpoints(tmp_path, 1.0).restore({"model": network}, {"optimizer": optimizer})
