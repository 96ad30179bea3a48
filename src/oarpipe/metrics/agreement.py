"""How far two extractions of the same images agree: by the steps of their orders, and by the scores."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Integer

_ROWS = 16_384  # worked on at once
_PAIRED = 512  # the same, where all pairs of places are looked at


@dataclass(frozen=True)
class Agreement:
    """Of each image: Kendall's tau, the mean difference of a position's steps, whether the orders are the
    same, and the mean absolute difference of the scores by step. `score_ratio` is of all scores' sums.
    """

    tau: Float64[np.ndarray, " R"]
    step_difference: Float64[np.ndarray, " R"]
    is_same: Bool[np.ndarray, " R"]
    score_gap: Float64[np.ndarray, " R"]
    score_ratio: float

    def facts(self) -> dict[str, float | int]:
        """Means over the images; `tau_error` is the standard error of the mean tau."""
        count = len(self.tau)
        return {
            "images": count,
            "tau": float(self.tau.mean()),
            "tau_error": float(self.tau.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan"),
            "step_difference": float(self.step_difference.mean()),
            "same_share": float(self.is_same.mean()),
            "score_gap": float(self.score_gap.mean()),
            "score_ratio": self.score_ratio,
        }


def agreement(
    orders: Integer[np.ndarray, "R N"],
    others: Integer[np.ndarray, "R N"],
    scores: Float32[np.ndarray, "R N"],
    other_scores: Float32[np.ndarray, "R N"],
) -> Agreement:
    """Of `others` with `orders`, row by row; the ratio is of the others' scores to these."""
    ours, theirs = scores.astype(np.float64), other_scores.astype(np.float64)
    return Agreement(
        kendall_tau(orders, others),
        np.abs(np.argsort(orders, axis=1) - np.argsort(others, axis=1)).mean(axis=1),
        (orders == others).all(axis=1),
        np.abs(ours - theirs).mean(axis=1),
        float(theirs.sum() / ours.sum()),
    )


def kendall_tau(
    orders: Integer[np.ndarray, "R N"], others: Integer[np.ndarray, "R N"]
) -> Float64[np.ndarray, " R"]:
    """Kendall's tau of each pair of orders of N >= 2 positions: 1 if they are the same, -1 if reversed."""
    pairs = orders.shape[1] * (orders.shape[1] - 1) / 2
    found = [
        1
        - 2 * _inversions(np.take_along_axis(np.argsort(others[part], axis=1), orders[part], axis=1)) / pairs
        for part in (slice(begin, begin + _ROWS) for begin in range(0, len(orders), _ROWS))
    ]
    return np.concatenate(found)


def class_tau(
    orders: Integer[np.ndarray, "R N"], groups: Integer[np.ndarray, " R"], count: int
) -> Float64[np.ndarray, "C C"]:
    """Mean Kendall's tau over all pairs of images, by their groups 0..count-1; nan where there is no pair.

    A pair of places stands one way round or the other in an order, +1 or -1, and tau is the mean product
    of two orders' signs. So the groups' sums of signs are enough, and no pair of images is looked at.
    """
    first, second = np.triu_indices(orders.shape[1], 1)
    sums = np.zeros((count, len(first)))
    for group in range(count):
        steps = np.argsort(orders[groups == group], axis=1)
        for begin in range(0, len(steps), _PAIRED):
            part = steps[begin : begin + _PAIRED]
            sums[group] += 2.0 * (part[:, first] < part[:, second]).sum(axis=0) - len(part)
    sizes = np.bincount(groups, minlength=count).astype(np.float64)
    total = sums @ sums.T / len(first)
    pairs = np.outer(sizes, sizes)
    same = np.arange(count)
    total[same, same] -= sizes  # an image with itself
    pairs[same, same] -= sizes
    return np.divide(total, pairs, out=np.full_like(total, np.nan), where=pairs > 0)


def within_and_between(
    tau: Float64[np.ndarray, "C C"], groups: Integer[np.ndarray, " R"]
) -> tuple[float, float]:
    """The means of `class_tau` over pairs of images of one class, and of two; nan without such a pair."""
    sizes = np.bincount(groups, minlength=len(tau)).astype(np.float64)
    pairs = np.outer(sizes, sizes)
    is_same = np.eye(len(tau), dtype=bool)
    pairs[is_same] -= sizes
    found = []
    for part in (is_same, ~is_same):
        used = part & (pairs > 0)
        found.append(
            float((tau[used] * pairs[used]).sum() / pairs[used].sum()) if used.any() else float("nan")
        )
    return found[0], found[1]


def _inversions(steps: np.ndarray) -> np.ndarray:
    """How many pairs of each permutation of 0..N-1 stand in the wrong order.

    A pair is told apart by the highest bit in which it differs. Sorted by the bits above that one, and
    within them as they came, the values of a group are side by side, and where it begins is known.
    """
    positions = steps.shape[1]
    count = np.zeros(len(steps), np.int64)
    for bit in reversed(range((positions - 1).bit_length())):
        is_upper = steps >> bit & 1
        uppers_before = np.cumsum(is_upper, axis=1) - is_upper
        group = np.arange(positions) >> bit + 1 << bit + 1
        count += ((uppers_before - uppers_before[:, group]) * (1 - is_upper)).sum(axis=1)
        steps = np.take_along_axis(steps, np.argsort(steps >> bit, axis=1, kind="stable"), axis=1)
    return count
