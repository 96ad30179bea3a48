"""One process or two train the same tokenizer: its codebook, its critic and its weights between the two.

In float64, as in test_parallel.py.
"""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from oarpipe.training import gan_loop
from oarpipe.training.checkpoints import Checkpoints
from oarpipe.training.gan_loop import fit_gan
from tests.processes import together
from tests.training import test_gan_loop
from tests.training.test_gan_loop import lines, toy
from tests.training.toy import Killed

# More codes than images look for, so that some die.
PLAIN, GAN = ({**options, "codebook": 30} for options in (test_gan_loop.PLAIN, test_gan_loop.GAN))
ADAPTIVE = {**GAN["adversarial"], "adaptive": True}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "codes are revived by the encodings of both": (PLAIN, {}),
    "with a critic in microbatches, and an average": (GAN, {"ema": 0.9, "microbatch": 5}),
    "an adaptive weight, images moved and flipped": (
        {**PLAIN, "flip": True, "augment": True, "adversarial": ADAPTIVE},
        {},
    ),
}
Trained = tuple[dict[str, torch.Tensor], list[dict[str, Any]]]


def trained(folder: Path, name: str, killed: bool = False) -> Trained:
    """The weights that come out, and what was told; or killed after saving the third step."""
    options, train = VARIANTS[name]
    run = toy(folder, options, **train)
    run.model.double()
    save = Checkpoints.save

    def deadly(self: Checkpoints, step: int, *arguments: Any) -> None:
        save(self, step, *arguments)
        if step == 3:
            raise Killed

    with (
        mock.patch.object(gan_loop, "from_uint8", lambda images: images.double() / 127.5 - 1),
        mock.patch.object(gan_loop, "_critic", double_critic),
        mock.patch.object(Checkpoints, "due", return_value=killed),
        mock.patch.object(Checkpoints, "save", deadly),
    ):
        if killed:
            with pytest.raises(Killed):
                fit_gan(run)
        kept = {} if killed else fit_gan(run).state_dict()
    return {key: tensor.clone() for key, tensor in kept.items()}, lines(run)


def double_critic(*arguments: Any) -> torch.nn.Module | None:
    made = critic(*arguments)
    return None if made is None else made.double()


critic = gan_loop._critic


def check_same(one: Trained, other: Trained) -> None:
    (weights, told), (others, other_told) = one, other
    assert weights.keys() == others.keys()
    for key, tensor in weights.items():
        assert (tensor - others[key]).abs().max() < 1e-9, key
    assert len(told) == len(other_told)
    for line, other_line in zip(told, other_told, strict=True):
        for clock in ("seconds", "images_per_second"):
            del line[clock], other_line[clock]
        assert other_line == pytest.approx(line, rel=1e-6)


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_train_the_tokenizer_that_one_trains(tmp_path: Path, name: str) -> None:
    one = trained(tmp_path / "one", name)
    assert one[1][-1]["revived"] > 0
    check_same(one, together(trained, tmp_path / "two", name)[0])


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_what_any_number_of_processes_saved_any_other_continues(
    tmp_path: Path, before: int, after: int
) -> None:
    name = "with a critic in microbatches, and an average"
    whole = trained(tmp_path / "whole", name)
    one_or_two = {1: lambda *given: [trained(*given)], 2: lambda *given: together(trained, *given)}
    one_or_two[before](tmp_path / "cut", name, True)
    check_same(whole, one_or_two[after](tmp_path / "cut", name)[0])
