"""Features of a set of images: measured batch by batch, kept as one npz file a set."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int, Int32, Int64, UInt8

from oarpipe.base.files import write_atomically
from oarpipe.errors import BadInput, IncompleteData
from oarpipe.metrics.extractors import Extractor, Features
from oarpipe.metrics.statistics import Moments, Statistics

UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """What a feature network says of n images; a label of -1 means that none was given.

    Of Inception's spatial features (ADM's sFID) the moments are kept, and not the vectors; other
    networks have none. `network` is the sha256 of the weights that measured, if it is known.
    """

    features: Float32[np.ndarray, "n D"]
    logits: Float32[np.ndarray, "n C"]
    labels: Int32[np.ndarray, " n"]
    spatial: Statistics | None = None
    network: str = ""

    def __len__(self) -> int:
        return len(self.features)

    def evenly(self, count: int) -> "FeatureSet":
        """So many of the images, evenly spread; the spatial moments stay those of all."""
        rows = evenly_spread(len(self), count)
        return replace(self, features=self.features[rows], logits=self.logits[rows], labels=self.labels[rows])

    def arrays(self) -> dict[str, np.ndarray]:
        """What `write` writes, by name."""
        arrays = {"features": self.features, "logits": self.logits, "labels": self.labels}
        arrays["network"] = np.array(self.network)
        if self.spatial is not None:
            arrays |= {"mu_s": self.spatial.mean, "sigma_s": self.spatial.covariance}
        return arrays

    def write(self, file: Path) -> None:
        """An uncompressed npz of the arrays, whole or absent."""

        def save(partial: Path) -> None:
            with zipfile.ZipFile(partial, "w") as archive:
                add_arrays(archive, self.arrays())

        write_atomically(file, save)

    @classmethod
    def read(cls, file: Path) -> "FeatureSet":
        """The set of a file that `write` made; `IncompleteData` names one that is broken."""
        try:
            with file.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
                spatial = Statistics(arrays["mu_s"], arrays["sigma_s"]) if "mu_s" in arrays else None
                network = str(arrays["network"])
                return cls(arrays["features"], arrays["logits"], arrays["labels"], spatial, network)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise IncompleteData(
                f"{file}: missing or broken features ({error}); delete it and run `oarpipe features` again"
            ) from error


def add_arrays(archive: zipfile.ZipFile, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays into an .npz, uncompressed, as `np.savez` does."""
    for name, array in arrays.items():
        with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


def evenly_spread(total: int, count: int) -> Int64[np.ndarray, " count"]:
    """The rows of `count` of `total` images, at equal distances; all of them if there are fewer."""
    count = min(count, total)
    return np.arange(count) * total // count


def extract(
    extractor: Extractor, batches: Iterable[UInt8[np.ndarray, "B H W 3"]]
) -> Iterator[tuple[UInt8[np.ndarray, "B H W 3"], Features]]:
    """Each batch of images with what the network says of it."""
    for images in batches:
        yield images, extractor(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))


def measure(
    extractor: Extractor,
    batches: Iterable[UInt8[np.ndarray, "B H W 3"]],
    *,
    labels: Int[np.ndarray, " n"] | None = None,
) -> FeatureSet:
    """Features of images that come in batches, with the classes they were meant to show, if known."""
    features, logits, spatial = [], [], SpatialMoments()
    for _, measured in extract(extractor, batches):
        features.append(measured.features.numpy())
        logits.append(measured.logits.numpy())
        spatial.add(measured)
    if not features:
        raise BadInput("no images to measure: the set is empty; check its `count` or `split`")
    count = sum(map(len, features))
    if labels is None:
        labels = np.full(count, UNLABELLED)
    if len(labels) != count:
        raise BadInput(f"{len(labels)} labels for {count} images; they come from different sets")
    return FeatureSet(
        np.concatenate(features),
        np.concatenate(logits),
        labels.astype(np.int32),
        spatial.statistics(),
        extractor.sha256,
    )


class SpatialMoments:
    """Moments of spatial features, of a network that has them."""

    def __init__(self) -> None:
        self._moments: Moments | None = None

    def add(self, measured: Features) -> None:
        """Takes in a batch."""
        if measured.spatial is not None:
            self._moments = self._moments or Moments(measured.spatial.shape[1])
            self._moments.add(measured.spatial.numpy())

    def statistics(self) -> Statistics | None:
        """The moments so far; none without such features, or of less than two images."""
        if self._moments is None or self._moments.count < 2:
            return None
        return self._moments.statistics()
