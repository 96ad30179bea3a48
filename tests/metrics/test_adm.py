"""ADM's evaluator: its golden values, its float16 rule one number at a time, its splits by hand."""

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch

from oarpipe.errors import BadInput
from oarpipe.metrics import adm
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.fidelity import frechet_distance, precision_recall
from oarpipe.metrics.statistics import Statistics, statistics

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "adm_dev.json").read_text())


def activations(case: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Reference and samples of a golden case."""
    make = runpy.run_path(str(GOLDEN / "features.py"))["make"]
    size, multiplier = case["d"], np.float32(case["multiplier"])
    reference = make(case["n_ref"], case["seed_ref"], d=size)
    samples = make(case["n_gen"], case["seed_gen"], shift=case["shift"], scale=case["scale"], d=size)
    return reference * multiplier, samples * multiplier


LARGE = [pytest.param(case, marks=pytest.mark.slow, id=case["name"]) for case in CASES if case["d"] > 1000]
SMALL = [pytest.param(case, id=case["name"]) for case in CASES if case["d"] <= 1000]


@pytest.fixture(scope="module", params=[*SMALL, *LARGE])
def golden(request: pytest.FixtureRequest) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    return request.param, *activations(request.param)


def test_the_frechet_distance_is_the_evaluators(golden) -> None:
    case, reference, samples = golden
    found = frechet_distance(*(statistics(one) for one in (samples, reference)))
    assert found == pytest.approx(case["frechet"], rel=1e-6)


def test_the_inception_score_is_the_evaluators(golden) -> None:
    case, _, samples = golden
    weights = np.random.default_rng(99).standard_normal((case["d"], 1008)).astype(np.float32) * 0.05
    found = adm.inception_score(samples @ weights, split_size=500)
    assert found == pytest.approx(case["inception_score_splits_of_500"], rel=1e-6)


def test_precision_and_recall_are_the_evaluators_but_for_its_order_of_summation(golden) -> None:
    """It sums squared lengths in float16, in an order that depends on the processor: a few samples differ."""
    case, reference, samples = golden
    found = adm.precision_recall(samples, reference)
    assert found == pytest.approx((case["precision"], case["recall"]), abs=0.0021)


def test_torch_fidelitys_precision_and_recall_are_near_the_evaluators(golden) -> None:
    case, reference, samples = golden
    sets = [FeatureSet(one, one[:, :0], np.zeros(len(one), np.int32)) for one in (samples, reference)]
    found = precision_recall(*sets, neighbourhood=3)
    assert found == pytest.approx((case["precision"], case["recall"]), abs=0.004)


def test_the_evaluator_takes_the_mean_of_splits_in_the_order_of_the_file() -> None:
    """Of two certain classes: a split of both scores 2, a split of one scores 1, and so does the rest."""
    logits = 1000.0 * np.eye(2)[[0, 1, 0, 0, 1]]
    assert adm.inception_score(logits, split_size=2) == pytest.approx((2 + 1 + 1) / 3, rel=1e-12)
    assert adm.inception_score(logits[::-1].copy(), split_size=2) == pytest.approx((2 + 2 + 1) / 3, rel=1e-12)
    assert adm.inception_score(logits[[0, 2, 3, 1, 4]], split_size=3) == pytest.approx(1.0, rel=1e-12)


def test_an_inception_score_is_what_its_formula_says_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    mean = probabilities.mean(axis=0)
    divergence = sum(p * math.log(p / q) for row in probabilities for p, q in zip(row, mean, strict=True)) / 2
    found = adm.inception_score(np.log(probabilities))
    assert found == pytest.approx(math.exp(divergence), rel=1e-12)


def slowly(generated: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Precision and recall, each distance for itself, in numpy's own float16."""

    def squared(u: np.ndarray, v: np.ndarray) -> float:
        lengths, product = [], np.float32(0)
        a, b = u.astype(np.float16), v.astype(np.float16)
        for x in (a, b):
            lengths.append(np.float16(np.sum(x.astype(np.float32) ** 2, dtype=np.float32)))
        product = np.float16(np.sum(a.astype(np.float32) * b.astype(np.float32), dtype=np.float32))
        return float(max(np.float16(np.float16(lengths[0] - 2 * product) + lengths[1]), np.float16(0)))

    def table(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.array([[squared(u, v) for v in columns] for u in rows])
        if np.isfinite(found).all():
            return found
        return np.array([[max(float(u @ u - 2 * (u @ v) + v @ v), 0.0) for v in columns] for u in rows])

    radii = [np.sort(table(one, one), axis=1)[:, 3] for one in (reference, generated)]
    distances = table(reference, generated)
    inside = (distances <= radii[0][:, None]).any(axis=0)
    return float(inside.mean()), float((distances <= radii[1]).any(axis=1).mean())


def exactly(generated: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """The same without rounding."""
    both = [one.astype(np.float64) for one in (reference, generated)]
    within = [np.sort(((one[:, None] - one) ** 2).sum(axis=2), axis=1)[:, 3] for one in both]
    distances = ((both[0][:, None] - both[1]) ** 2).sum(axis=2)
    inside = (distances <= within[0][:, None]).any(axis=0)
    return float(inside.mean()), float((distances <= within[1]).any(axis=1).mean())


def vectors(count: int, seed: int, *, size: int = 12, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """Small integers and halves, so that float32 sums are exact in any order."""
    found = np.random.default_rng(seed).integers(0, 9, (count, size)) / 2
    return (found * scale + shift).astype(np.float32)


@pytest.mark.parametrize("scale", [1.0, 9.0])
def test_distances_are_rounded_to_float16_after_every_step(scale: float) -> None:
    generated, reference = vectors(70, 0, scale=scale, shift=scale / 2), vectors(60, 1, scale=scale)
    found = adm.precision_recall(generated, reference)
    assert found == slowly(generated, reference)
    if scale > 1:  # lengths of thousands are rounded to whole numbers of 2 or 4
        assert found != exactly(generated, reference)


def test_without_rounding_the_definition_remains() -> None:
    """Numbers so small that float16 holds every distance exactly."""
    generated, reference = vectors(80, 2, size=5, shift=0.5), vectors(50, 3, size=5)
    assert adm.precision_recall(generated, reference) == exactly(generated, reference)


def test_a_block_that_float16_cannot_hold_is_made_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    generated, reference = vectors(40, 4, scale=100.0), vectors(30, 5, scale=100.0)
    assert (generated.astype(np.float64) ** 2).sum(axis=1).max() > np.finfo(np.float16).max
    assert adm.precision_recall(generated, reference) == slowly(generated, reference)
    assert adm.precision_recall(generated, reference) == exactly(generated, reference)


@pytest.mark.parametrize("block", [7, 16, 1000])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generated, reference = vectors(50, 6, scale=9.0, shift=4.0), vectors(33, 7, scale=9.0)
    expected = slowly(generated, reference)
    monkeypatch.setattr(adm, "BLOCK", block)
    assert adm.precision_recall(generated, reference) == expected


def test_fewer_images_than_neighbours_are_refused() -> None:
    with pytest.raises(BadInput, match="need more than 3 images a set, got 3"):
        adm.precision_recall(vectors(3, 0), vectors(9, 1))


def test_the_distance_of_two_gaussians_is_its_closed_form() -> None:
    """Commuting covariances: sum of (mean difference)^2 and (difference of deviations)^2."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    means = [np.arange(6.0), np.arange(6.0) + 0.25]
    deviations = [np.arange(1.0, 7.0), np.arange(1.0, 7.0)[::-1]]
    one, other = (
        Statistics(mean, turn @ np.diag(spread**2) @ turn.T)
        for mean, spread in zip(means, deviations, strict=True)
    )
    expected = 6 * 0.25**2 + ((deviations[0] - deviations[1]) ** 2).sum()
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-10)


@pytest.mark.gpu
def test_a_gpu_finds_the_same() -> None:
    generated, reference = vectors(400, 8, size=64, scale=3.0), vectors(300, 9, size=64, scale=3.0)
    found = [
        adm.precision_recall(generated, reference, device=torch.device(name)) for name in ("cpu", "cuda")
    ]
    assert found[0] == found[1]
