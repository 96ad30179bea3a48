"""Small token sets laid out as their projects lay them out, written with numpy and json alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def codes(count: int, views: int = 2, positions: int = 9, codebook: int = 64) -> np.ndarray:
    """Codes of samples, int64 `[count, views, positions]`."""
    return np.random.default_rng(0).integers(0, codebook, (count, views, positions))


def randar(root: Path, values: np.ndarray, labels: Sequence[int]) -> Path:
    """`{class}/{index}.npy`."""
    for i, label in reversed(list(enumerate(labels))):  # so that the listing's order is not by index
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        np.save(root / str(label) / f"{i}.npy", values[i])
    return root


def llamagen(root: Path, values: np.ndarray, labels: Sequence[int], name: str = "imagenet48") -> Path:
    """`{name}_codes/{i}.npy` and `{name}_labels/{i}.npy`."""
    for kind in ("codes", "labels"):
        (root / f"{name}_{kind}").mkdir(parents=True)
    for i, label in enumerate(labels):
        np.save(root / f"{name}_codes" / f"{i}.npy", values[i][None])
        np.save(root / f"{name}_labels" / f"{i}.npy", np.array([label]))
    return root


def rar(file: Path, values: np.ndarray, labels: Sequence[int]) -> Path:
    """One line a view."""
    lines = [
        json.dumps({"class_id": label, "tokens": view.tolist()})
        for label, sample in zip(labels, values, strict=True)
        for view in sample
    ]
    file.write_text("".join(f"{line}\n" for line in lines))
    return file


def lpd(root: Path, values: np.ndarray, labels: Sequence[int], classes: Sequence[str]) -> Path:
    """`{class}/{name}.npz` with `indices` and `indices_flip`; names ascend with the samples."""
    for i, label in reversed(list(enumerate(labels))):
        (root / classes[label]).mkdir(parents=True, exist_ok=True)
        arrays = {"indices": values[i, 0], "indices_flip": values[i, 1]}
        np.savez(root / classes[label] / f"{i:04}.npz", **arrays)
    return root
