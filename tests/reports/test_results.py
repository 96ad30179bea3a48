"""What a report reads together must have been measured alike."""

from dataclasses import replace
from pathlib import Path

import pytest

from oarpipe.base.files import write_json
from oarpipe.base.identity import Identity
from oarpipe.base.receipts import Receipt
from oarpipe.errors import FingerprintMismatch
from oarpipe.metrics.measurements import Measurement, Network
from oarpipe.reports.results import Results

TRAIN = Identity("imagenet train", "1" * 64, 50_000)
FID = Measurement("fid", 2.25, "adm", Network("inception", "inception", "a" * 64), TRAIN, 50_000)


def evaluation(root: Path, seed: int, fid: Measurement) -> Receipt:
    """A finished evaluation of one arm."""
    folder = root / f"seed-{seed}"
    one = {"metrics": {"fid": fid.value}, "values": {"adm": {"fid": fid.facts()}}}
    write_json(folder / "metrics.json", {"features": {"digest": "f" * 64}, "sets": {"greedy": one}})
    return Receipt("evaluations", "main", seed, 2, {}, {}, "", "", {}, folder)


def test_seeds_that_were_measured_against_different_references_are_refused(tmp_path: Path) -> None:
    other = replace(FID, reference=Identity("imagenet test", "2" * 64, 50_000), value=2.5)
    receipts = [evaluation(tmp_path, 0, FID), evaluation(tmp_path, 1, other)]
    with pytest.raises(FingerprintMismatch) as told:
        _ = Results({"evaluations": receipts}).evaluations
    assert str(told.value) == (
        "the evaluations of seeds 0 and 1: fid 2.25 and fid 2.5 do not compare: of different references, "
        "imagenet train 111111111111 and imagenet test 222222222222"
    )


def test_seeds_that_were_measured_alike_are_read(tmp_path: Path) -> None:
    receipts = [evaluation(tmp_path, seed, replace(FID, value=2.0 + seed)) for seed in (0, 1)]
    assert set(Results({"evaluations": receipts}).evaluations) == {0, 1}
