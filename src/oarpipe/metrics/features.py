"""Features of a set of images: measured batch by batch, kept as one npz file a set."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int, Int32, UInt8

from oarpipe.base.files import write_atomically
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics.extractors import Extractor

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What a feature network says of n images; a label of -1 means that none was given."""

    features: Float32[np.ndarray, "n D"]
    logits: Float32[np.ndarray, "n C"]
    labels: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.features)

    def write(self, file: Path) -> None:
        """An uncompressed npz with the three arrays, whole or absent."""

        def save(partial: Path) -> None:
            with partial.open("wb") as out:
                np.savez(out, features=self.features, logits=self.logits, labels=self.labels)

        write_atomically(file, save)

    @classmethod
    def read(cls, file: Path) -> "FeatureSet":
        """The set of a file that `write` made; `IncompleteData` names one that is broken."""
        try:
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
                return cls(arrays["features"], arrays["logits"], arrays["labels"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise IncompleteData(
                f"{file}: missing or broken features ({error}); delete it and run `oarpipe features` again"
            ) from error


def measure(
    extractor: Extractor,
    batches: Iterable[UInt8[np.ndarray, "B H W 3"]],
    *,
    labels: Int[np.ndarray, " n"] | None = None,
) -> FeatureSet:
    """Features of images that come in batches, with the classes they were meant to show, if known."""
    features, logits = [], []
    for images in batches:
        measured = extractor(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
        features.append(measured.features.numpy())
        logits.append(measured.logits.numpy())
    if not features:
        raise BadInput("no images to measure: the set is empty; check its `count` or `split`")
    count = sum(map(len, features))
    if labels is None:
        labels = np.full(count, UNLABELLED)
    if len(labels) != count:
        raise BadInput(f"{len(labels)} labels for {count} images; they come from different sets")
    return FeatureSet(np.concatenate(features), np.concatenate(logits), labels.astype(np.int32))
