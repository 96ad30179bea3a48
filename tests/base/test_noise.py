"""Noise is Philox, uniform where it says so, and the same alone or in a batch."""

import pytest
import torch

from oarpipe.base import noise
from oarpipe.base.noise import Stream

# Random123's kat_vectors: philox4x32, 10 rounds; counter, key, answer.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_answers_of_random123(counter: str, key: str, answer: str) -> None:
    k0, k1 = (int(word, 16) for word in key.split())
    words = noise.philox(torch.tensor([int(word, 16) for word in counter.split()]), (k0, k1))
    assert [f"{word:08x}" for word in words.tolist()] == answer.split()


def test_a_sample_gets_the_same_noise_alone_or_in_a_batch() -> None:
    samples = torch.tensor([3, 2**40 + 1, 4711])
    together = noise.uniform(7, Stream.CODES, samples, 2, 5)
    alone = [noise.uniform(7, Stream.CODES, int(sample), 2, 5) for sample in samples]
    assert together.tolist() == [float(value) for value in alone]
    orders = noise.permutations(7, Stream.ORDER, samples, 3, 36)
    assert torch.equal(orders[1:2], noise.permutations(7, Stream.ORDER, samples[1:2], 3, 36))


def test_seeds_streams_samples_steps_and_items_share_no_bits() -> None:
    calls = [
        (seed, stream, sample, step, item)
        for seed in (0, 1, 2**32)
        for stream in (Stream.CODES, Stream.RULE)
        for sample in (0, 1, 2**32)
        for step in (0, 1)
        for item in (0, 1)
    ]
    bits = {int(noise.bits(*call)) for call in calls}
    assert len(bits) == len(calls)


def test_uniform_numbers_are_uniform_and_below_one() -> None:
    values = noise.uniform(0, Stream.CODES, torch.arange(100_000))
    assert float(values.min()) >= 0
    assert float(values.max()) < 1
    counts = torch.histc(values.float(), bins=100, min=0, max=1)
    chi_squared = float(((counts - 1000) ** 2 / 1000).sum())
    assert chi_squared < 149.4  # 99.9 % of chi-squared with 99 degrees of freedom; the draw is fixed


def test_gumbel_numbers_have_their_moments() -> None:
    gumbel = noise.gumbel(0, Stream.CODES, torch.arange(100_000))
    assert float(gumbel.mean()) == pytest.approx(0.5772, abs=0.02)
    assert float(gumbel.var()) == pytest.approx(1.6449, abs=0.05)
    assert bool(torch.isfinite(gumbel).all())


def test_permutations_are_permutations_and_every_first_place_is_as_likely() -> None:
    orders = noise.permutations(0, Stream.ORDER, torch.arange(24_000), 0, 4)
    assert torch.equal(orders.sort(dim=1).values, torch.arange(4).expand(24_000, 4))
    _, counts = torch.unique(orders, dim=0, return_counts=True)
    assert len(counts) == 24
    chi_squared = float(((counts - 1000.0) ** 2 / 1000).sum())
    assert chi_squared < 49.7  # 99.9 % with 23 degrees of freedom


def test_a_permutation_is_the_same_drawn_at_once_or_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = torch.tensor([3, 2**40])
    whole = noise.permutations(5, Stream.SHUFFLE, sample, 1, 1000)
    monkeypatch.setattr(noise, "_ITEMS", 7)
    torch.testing.assert_close(noise.permutations(5, Stream.SHUFFLE, sample, 1, 1000), whole)


def test_steps_may_differ_from_sample_to_sample() -> None:
    samples, steps = torch.tensor([5, 5, 6]), torch.tensor([0, 1, 0])
    together = noise.permutations(0, Stream.VISIT, samples, steps, 16)
    for i in range(3):
        alone = noise.permutations(0, Stream.VISIT, samples[i : i + 1], int(steps[i]), 16)
        assert torch.equal(together[i : i + 1], alone)
    assert not torch.equal(together[0], together[1])
