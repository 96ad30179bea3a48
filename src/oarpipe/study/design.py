"""What a preference study shows: pairs of two sample sets, of one class and one seed, and attention checks.

The two sets may differ in what is compared and in nothing else, so that a preference has one reason. Pairs
are spread evenly over the classes; which samples they are is drawn, not chosen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8

from oarpipe.base import noise
from oarpipe.base.receipts import Receipt
from oarpipe.data.sample_store import SampleStore
from oarpipe.errors import BadInput, FingerprintMismatch, nearest

# Neither changes a picture: how many there are, and how they were written.
NEUTRAL = {"count", "batch", "shard"}

Picture = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class Item:
    """Two pictures to choose between: of the two sets ("a", "b"), or whole and degraded, which is a check."""

    item: int
    sample: int
    label: int
    pictures: dict[str, Picture]


@dataclass(frozen=True)
class Design:
    """A study: its pairs and checks, and how many of a participant's first pairs come again, swapped."""

    sets: tuple[Receipt, Receipt]
    differences: dict[str, tuple[Any, Any]]
    pairs: list[Item]
    checks: list[Item]
    repeats: int
    seed: int
    alike: int  # pairs passed over because both sets show the same picture

    def facts(self) -> dict[str, Any]:
        """What study.json holds of it: enough to draw it again, without the pictures."""
        return {
            "sets": {
                name: {"name": one.name, "seed": one.seed, "digest": one.digest, "recipe": one.recipe}
                for name, one in zip("ab", self.sets, strict=True)
            },
            "differences": {name: list(values) for name, values in self.differences.items()},
            "pairs": [{"item": i.item, "sample": i.sample, "label": i.label} for i in self.pairs],
            "checks": [{"item": i.item, "sample": i.sample, "label": i.label} for i in self.checks],
            "repeats": self.repeats,
            "seed": self.seed,
        }


def design(
    first: Receipt,
    second: Receipt,
    *,
    compared: Sequence[str],
    pairs: int,
    checks: int,
    repeats: int,
    seed: int,
) -> Design:
    """Draws a study's pairs and checks; `BadInput` or `FingerprintMismatch` where the sets forbid it."""
    if repeats > pairs // 2:
        raise BadInput(
            f"--repeats {repeats}: at most half of the pairs ({pairs // 2}) can come a second time"
        )
    differences = _differences(first, second, compared)
    stores = [SampleStore.open(one.folder / "samples.zarr") for one in (first, second)]
    labels = _common_labels((first, second), stores)
    chosen: list[Item] = []
    alike = 0
    for sample in _drawn(labels, seed):
        if len(chosen) == pairs:
            break
        a, b = (store.rows("images", [sample])[0] for store in stores)
        if np.array_equal(a, b):
            alike += 1
        else:
            chosen.append(Item(len(chosen), sample, int(labels[sample]), {"a": a, "b": b}))
    if len(chosen) < pairs:
        raise BadInput(
            f"--pairs {pairs}: the two sets have {len(labels)} samples in common, and {alike} of these pairs "
            f"show one picture twice; ask for at most {len(chosen)}"
        )
    return Design((first, second), differences, chosen, _checks(chosen, checks, seed), repeats, seed, alike)


def _differences(first: Receipt, second: Receipt, compared: Sequence[str]) -> dict[str, tuple[Any, Any]]:
    """The options in which the sets differ, all of them among those that are compared."""
    options = [name for name in first.recipe if name not in NEUTRAL]
    for name in compared:
        if name not in options:
            raise BadInput(f"--compare: samples have no option '{name}': {nearest(name, options)}")
    if first.digest == second.digest:
        raise BadInput(f"{first.folder} and {second.folder} hold the same images; name two different sets")
    if first.seed != second.seed:
        raise FingerprintMismatch(
            f"{first.folder} was made under seed {first.seed}, {second.folder} under seed {second.seed}, "
            "so their pairs share no noise; name two sets of one seed"
        )
    if first.inputs.get("tokenizer") != second.inputs.get("tokenizer"):
        raise FingerprintMismatch(
            f"{first.folder} and {second.folder} were decoded by different tokenizers; name two sets of one"
        )
    found: dict[str, tuple[Any, Any]] = {
        name: (first.recipe[name], second.recipe[name])
        for name in options
        if first.recipe[name] != second.recipe[name]
    }
    for name in {*first.inputs, *second.inputs} - {"tokenizer"}:  # of one name, but made otherwise
        digests = (first.inputs.get(name), second.inputs.get(name))
        if digests[0] != digests[1]:
            found.setdefault("model" if name == "model" else "policy", digests)
    for name, (one, other) in found.items():
        if name not in compared:
            raise FingerprintMismatch(
                f"samples.{first.name} and samples.{second.name} differ in {name} ({one} and {other}), which "
                f"is not compared; make them alike, or say --compare {','.join([*compared, name])}"
            )
    return found


def _common_labels(sets: tuple[Receipt, Receipt], stores: list[SampleStore]) -> Int[np.ndarray, " n"]:
    """The classes of the samples that both sets have; `FingerprintMismatch` if they are not alike."""
    one, other = stores
    if one.resolution != other.resolution:
        raise FingerprintMismatch(
            f"{sets[0].folder} has images of {one.resolution} pixels and {sets[1].folder} of "
            f"{other.resolution}; name two sets of one resolution"
        )
    count = min(one.count, other.count)
    for name, what in (("labels", "class"), ("seeds", "seed")):
        ours, theirs = (store.read(name)[:count] for store in stores)
        if (ours != theirs).any():
            row = int(np.flatnonzero(ours != theirs)[0])
            raise FingerprintMismatch(
                f"sample {row} is of {what} {ours[row]} in {sets[0].folder} and of {what} {theirs[row]} in "
                f"{sets[1].folder}; name two sets that were made for the same classes"
            )
    return one.read("labels")[:count]


def _drawn(labels: Int[np.ndarray, " n"], seed: int) -> Iterator[int]:
    """All samples in the order in which pairs are taken: one of each class in turn, both at random."""
    ids = torch.arange(len(labels))
    order = noise.bits(seed, noise.Stream.STUDY, ids).argsort().numpy()
    by_class = [order[labels[order] == label] for label in dict.fromkeys(labels[order].tolist())]
    for turn in range(max(map(len, by_class))):
        yield from (int(samples[turn]) for samples in by_class if turn < len(samples))


def _checks(pairs: Sequence[Item], count: int, seed: int) -> list[Item]:
    """Pictures beside their own pixels in random places: as many of each colour, and nothing to see.

    The pictures of the most contrast serve: of an empty one nobody could tell.
    """
    shown = [(pair, name) for name in "ab" for pair in pairs]
    by_contrast = sorted(shown, key=lambda one: -float(one[0].pictures[one[1]].std()))
    made = []
    for i in range(count):
        of, name = by_contrast[i % len(by_contrast)]
        whole, item = of.pictures[name], len(pairs) + i
        pixels = whole.reshape(-1, 3)
        places = noise.permutations(seed, noise.Stream.STUDY, torch.tensor([item]), 1, len(pixels))[0]
        degraded = pixels[places.numpy()].reshape(whole.shape)
        if np.array_equal(whole, degraded):
            raise BadInput("--checks: the pictures have one colour only, which leaves nothing to check with")
        made.append(Item(item, of.sample, of.label, {"whole": whole, "degraded": degraded}))
    return made
