"""A reference in one file: ADM's .npz, or one of ours, which is laid out as ADM's and holds more.

Arrays: `arr_0` images, uint8 NHWC; `mu`, `sigma`, `mu_s`, `sigma_s` moments; ours besides `features`,
`logits`, `labels` of the images, `network` (sha256 of the weights that measured) and `count`, how many
images the moments are of.
"""

import zipfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from oarpipe.base.files import sha256, write_atomically
from oarpipe.base.identity import Identity
from oarpipe.errors import BadInput, FingerprintMismatch, IncompleteData
from oarpipe.metrics.conventions import Reference, reference_of
from oarpipe.metrics.extractors import Extractor
from oarpipe.metrics.features import (
    UNLABELLED,
    FeatureSet,
    SpatialMoments,
    add_arrays,
    evenly_spread,
    extract,
)
from oarpipe.metrics.measurements import Network
from oarpipe.metrics.statistics import Moments, Statistics, read_spatial_statistics, read_statistics


class ReferenceFile:
    """An .npz that is to be compared with, looked into and hashed once.

        held = ReferenceFile(Path("VIRTUAL_imagenet256_labeled.npz"))
        held.arrays             # ["arr_0", "mu", "sigma", "mu_s", "sigma_s"]
        held.reference(images, images_of)

    `IncompleteData` if it is missing or broken.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            with zipfile.ZipFile(file) as archive:
                self.arrays = [name.removesuffix(".npy") for name in archive.namelist()]
        except FileNotFoundError as error:
            raise IncompleteData(f"{file}: no such file; name a reference that is there") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise IncompleteData(
                f"{file}: not an .npz, or one cut short ({error}); fetch it again"
            ) from error

    @cached_property
    def digest(self) -> str:
        """The hash of the file."""
        return sha256(self.file)

    def moments(self) -> tuple[Statistics, Statistics | None] | None:
        """Of pooled and spatial features; None without them, `BadInput` if they are not moments."""
        if "mu" not in self.arrays:
            return None
        return read_statistics(self.file), read_spatial_statistics(self.file)

    def features(self, network: Network) -> FeatureSet | None:
        """Those in it, if it has some; `FingerprintMismatch` if another network measured them."""
        if "features" not in self.arrays:
            return None
        found = FeatureSet.read(self.file)
        if found.network != network.sha256:
            raise FingerprintMismatch(
                f"{self.file}: measured by the network {found.network[:12]}, not by {network.name} "
                f"({(network.sha256 or 'unknown')[:12]}); measure both with one network"
            )
        return found

    def reference(self, images: FeatureSet | None, images_of: Identity) -> Reference:
        """Its moments beside images that were measured; without moments in it, those of the images."""
        moments = self.moments()
        if moments is not None:
            return Reference(self._identity(), *moments, images_of, images)
        if images is None:
            raise BadInput(
                f"{self.file}: holds {', '.join(self.arrays) or 'nothing'}; expected images (arr_0), "
                "features, or moments (mu, sigma)"
            )
        return reference_of(images, images_of)

    def _identity(self) -> Identity:
        """Name and hash, with the number of images that it tells of itself."""
        count = None
        if "count" in self.arrays:
            with np.load(self.file, allow_pickle=False) as arrays:
                count = int(arrays["count"])
        return Identity(self.file.name, self.digest, count)


def write_reference(
    file: Path,
    extractor: Extractor,
    batches: Iterable[UInt8[np.ndarray, "B H W 3"]],
    *,
    total: int,
    kept: int,
) -> None:
    """Measures `total` images as they come; writes all their moments, and `kept` of them, evenly spread.

    Memory does not grow with the images, but with the features of those kept.
    """
    rows = evenly_spread(total, kept)
    write_atomically(file, lambda partial: _write(partial, extractor, batches, total, rows))


def _write(
    file: Path,
    extractor: Extractor,
    batches: Iterable[UInt8[np.ndarray, "B H W 3"]],
    total: int,
    rows: Int64[np.ndarray, " kept"],
) -> None:
    is_kept = np.isin(np.arange(total), rows)
    features, logits, spatial = [], [], SpatialMoments()
    pool: Moments | None = None
    done = 0
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open(zipfile.ZipInfo("arr_0.npy"), "w", force_zip64=True) as member:
            for images, measured in extract(extractor, batches):
                vectors = measured.features.numpy()
                if pool is None:
                    pool = Moments(vectors.shape[1])
                    header = {"descr": "|u1", "fortran_order": False, "shape": (len(rows), *images.shape[1:])}
                    np.lib.format.write_array_header_1_0(member, header)
                chosen = is_kept[done : done + len(images)]
                done += len(images)
                member.write(images[chosen].tobytes())
                features.append(vectors[chosen])
                logits.append(measured.logits.numpy()[chosen])
                pool.add(vectors)
                spatial.add(measured)
        if pool is None or done != total:
            raise BadInput(f"{total} images were to be measured, {done} came")
        moments = pool.statistics()
        kept = FeatureSet(
            np.concatenate(features),
            np.concatenate(logits),
            np.full(len(rows), UNLABELLED, np.int32),
            spatial.statistics(),
            extractor.sha256,
        )
        facts = {"mu": moments.mean, "sigma": moments.covariance, "count": np.array(total)}
        add_arrays(archive, {**facts, **kept.arrays()})
