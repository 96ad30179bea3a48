"""Differences and their 95 % intervals: over resampled images within a seed, and over seeds.

A bootstrap of a Fréchet distance is biased upwards (a resample repeats images, so it looks less
varied), hence intervals are percentiles shifted so that the replicates' mean falls on the estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from oarpipe.metrics import percentiles

# An interval over seeds, and with it the words "holds" and "does not hold", needs this many.
SEEDS_NEEDED = 3


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Value:
    """A number of one seed, and its bootstrap replicates (none if it was not resampled).

    `count` is of how many samples, where it is known: those of one count are resampled alike.
    """

    point: float
    replicates: tuple[float, ...] = ()
    count: int | None = None

    @property
    def interval(self) -> Interval | None:
        """The bootstrap interval over images."""
        return resampled(self.point, self.replicates)


# The same number under several seeds.
Series = Mapping[int, Value]


@dataclass(frozen=True)
class Difference:
    """Left minus right: its mean over seeds, and by seed.

    `over_seeds` is a t-interval of the seeds' differences, from three seeds on; `over_images` holds
    the seeds fixed and resamples the images.
    """

    mean: float
    by_seed: Mapping[int, float]
    over_seeds: Interval | None
    over_images: Interval | None

    @property
    def interval(self) -> Interval | None:
        """The interval that decides: over seeds where there are enough of them."""
        return self.over_seeds or self.over_images


def resampled(point: float, replicates: Sequence[float] | Float64[np.ndarray, " R"]) -> Interval | None:
    """The percentile interval of paired or single replicates, centred on the estimate."""
    if len(replicates) < 2:
        return None
    return Interval(*percentiles.interval(replicates, estimate=point))


def over_seeds(values: Sequence[float]) -> Interval | None:
    """The t-interval of the mean; None for fewer than three values."""
    if len(values) < SEEDS_NEEDED:
        return None
    from scipy.special import stdtrit  # scipy.stats takes a second to load

    array = np.asarray(values, dtype=np.float64)
    half = float(
        stdtrit(len(array) - 1, (1 + percentiles.LEVEL) / 2) * array.std(ddof=1) / np.sqrt(len(array))
    )
    return Interval(float(array.mean()) - half, float(array.mean()) + half)


def difference(left: Series, right: Series) -> Difference | None:
    """`left` minus `right` over the seeds both have, paired within each seed; None if they share none."""
    seeds = sorted(set(left) & set(right))
    if not seeds:
        return None
    by_seed = {seed: left[seed].point - right[seed].point for seed in seeds}
    mean = float(np.mean(list(by_seed.values())))
    drawn = [one for seed in seeds if (one := _replicates(left[seed], right[seed])) is not None]
    whole = len(drawn) == len(seeds) and len({len(one) for one in drawn}) == 1
    images = resampled(mean, np.mean(drawn, axis=0)) if whole else None
    return Difference(mean, by_seed, over_seeds(list(by_seed.values())), images)


def means(found: Difference, *sides: Series) -> list[float]:
    """Each side's mean over the seeds of their difference."""
    return [sum(side[seed].point for seed in found.by_seed) / len(found.by_seed) for side in sides]


def is_paired(left: Value, right: Value) -> bool:
    """Whether replicate b of both resampled the same indices."""
    return left.count == right.count


def _replicates(left: Value, right: Value) -> Float64[np.ndarray, " R"] | None:
    """Those of the difference: of paired values one by one, else each of one with each of the other."""
    ours, theirs = (np.asarray(one.replicates, dtype=np.float64) for one in (left, right))
    count = min(len(ours), len(theirs))
    if not count:
        return None
    if is_paired(left, right):
        return ours[:count] - theirs[:count]
    return (ours[:, None] - theirs).ravel()


def spread(series: Series) -> tuple[float, float | None, Interval | None]:
    """Mean, standard deviation over seeds (None for one seed), and for one seed its bootstrap interval."""
    points = [value.point for value in series.values()]
    if len(points) > 1:
        return float(np.mean(points)), float(np.std(points, ddof=1)), None
    (only,) = series.values()
    return only.point, None, only.interval


def resampled_means(
    columns: Float64[np.ndarray, "n series"], count: int
) -> Float64[np.ndarray, "count series"]:
    """Bootstrap means of every column over the rows: one row a replicate, the same rows for all columns.

    Tables of as many rows are resampled alike.
    """
    rows = len(columns)
    draw = np.random.default_rng(0)
    times = (np.bincount(draw.integers(rows, size=rows), minlength=rows) for _ in range(count))
    return np.stack([drawn @ columns / rows for drawn in times])
