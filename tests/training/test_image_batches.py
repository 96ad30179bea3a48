import threading

import numpy as np
import pytest
import torch

from oarpipe.errors import BadInput
from oarpipe.training import image_batches
from oarpipe.training.image_batches import ImageBatches


def load(ids: np.ndarray) -> np.ndarray:
    """Images whose first value is their sample id."""
    return np.broadcast_to(ids.astype(np.uint8)[:, None, None, None], (len(ids), 2, 2, 3)).copy()


def seen(batches: ImageBatches, steps: range) -> list[int]:
    return [int(value) for step in steps for value in batches(step)[:, 0, 0, 0]]


def test_every_image_comes_once_an_epoch_in_another_order() -> None:
    ids = np.arange(10, 22)
    order = seen(ImageBatches(load, ids, batch=5, seed=0), range(12))  # 60 visits are 5 epochs of 12
    epochs = [order[i : i + 12] for i in range(0, 60, 12)]
    assert all(sorted(epoch) == ids.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_a_batch_is_a_function_of_seed_and_step_alone() -> None:
    batches, others = (ImageBatches(load, np.arange(12), batch=5, seed=seed) for seed in (0, 1))
    expected = seen(batches, range(4))
    fresh = ImageBatches(load, np.arange(12), batch=5, seed=0)
    assert seen(fresh, range(3, 4)) + seen(fresh, range(0, 1)) == expected[15:] + expected[:5]
    assert seen(others, range(4)) != expected


def test_a_batch_larger_than_the_data_spans_epochs() -> None:
    assert sorted(seen(ImageBatches(load, np.arange(3), batch=6, seed=0), range(1))) == [0, 0, 1, 1, 2, 2]


def test_images_that_do_not_fit_in_memory_are_loaded_by_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = ImageBatches(load, np.arange(12), batch=5, seed=0)
    monkeypatch.setattr(image_batches, "RESIDENT_BYTES", 100)
    sizes: list[int] = []

    def watched(ids: np.ndarray) -> np.ndarray:
        sizes.append(len(ids))
        return load(ids)

    streamed = ImageBatches(watched, np.arange(12), batch=5, seed=0)
    assert torch.equal(streamed(2), resident(2))
    assert max(sizes) == 5


def test_images_that_differ_from_visit_to_visit_are_never_kept() -> None:
    asked: list[list[int]] = []

    def at_random(ids: np.ndarray, visits: np.ndarray) -> np.ndarray:
        asked.append(visits.tolist())
        return load(ids + visits)

    batches = ImageBatches(load, np.arange(12), batch=5, seed=0, load_visits=at_random)
    plain = ImageBatches(load, np.arange(12), batch=5, seed=0)
    assert seen(batches, range(2, 3)) == [
        i + visit for i, visit in zip(seen(plain, range(2, 3)), range(10, 15), strict=True)
    ]
    assert asked[0] == [10, 11, 12, 13, 14]


def test_what_is_not_kept_is_read_a_batch_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_batches, "RESIDENT_BYTES", 100)
    resident = ImageBatches(load, np.arange(12), batch=5, seed=0)
    began: list[int] = []
    second = threading.Event()

    def watched(ids: np.ndarray) -> np.ndarray:
        began.append(len(ids))
        if began.count(5) == 2:
            second.set()
        return load(ids)

    batches = ImageBatches(watched, np.arange(12), batch=5, seed=0)
    batches(0)
    assert second.wait(10)  # nobody asked for batch 1 yet
    assert seen(batches, range(1, 4)) == seen(resident, range(1, 4))
    assert seen(batches, range(0, 1)) == seen(resident, range(0, 1))  # back again


def test_an_error_of_reading_ahead_is_raised_where_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ids: np.ndarray, visits: np.ndarray) -> np.ndarray:
        if visits[0] == 10:
            raise BadInput("a/7.png: not a readable image")
        return load(ids)

    batches = ImageBatches(load, np.arange(12), batch=5, seed=0, load_visits=broken)
    batches(0)
    batches(1)
    with pytest.raises(BadInput, match=r"a/7\.png"):
        batches(2)


def test_no_images_is_an_error_that_names_the_keys() -> None:
    with pytest.raises(BadInput, match=r"no training images; check its `path` and `test_every`"):
        ImageBatches(load, np.arange(0), batch=5, seed=0)
