"""A reference in one file: ADM's .npz, or one of ours, which is laid out as ADM's and holds more.

Arrays: `arr_0` images, uint8 NHWC; `mu`, `sigma`, `mu_s`, `sigma_s` moments; ours besides `features`,
`logits`, `labels` of the images, `network` (sha256 of the weights that measured) and `count`, how many
images the moments are of.
"""

import zipfile
from collections.abc import Iterable
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
from oarpipe.metrics.statistics import Moments, read_spatial_statistics, read_statistics


def arrays_in(file: Path) -> list[str]:
    """The names of an .npz file's arrays; `IncompleteData` if it is missing or broken."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except FileNotFoundError as error:
        raise IncompleteData(f"{file}: no such file; name a reference that is there") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise IncompleteData(f"{file}: not an .npz, or one cut short ({error}); fetch it again") from error


def check_moments(file: Path) -> None:
    """`BadInput` or `IncompleteData` if a file's moments are not what they should be; none are no mistake."""
    if "mu" in arrays_in(file):
        read_statistics(file)
        read_spatial_statistics(file)


def cached_features(file: Path, network: Network) -> FeatureSet | None:
    """The features in a file, if it has some; `FingerprintMismatch` if another network measured them."""
    if "features" not in arrays_in(file):
        return None
    found = FeatureSet.read(file)
    if found.network != network.sha256:
        raise FingerprintMismatch(
            f"{file}: measured by the network {found.network[:12]}, not by {network.name} "
            f"({(network.sha256 or 'unknown')[:12]}); measure both with one network"
        )
    return found


def read_reference(file: Path, images: FeatureSet | None, images_of: Identity) -> Reference:
    """The moments of a file beside images that were measured; without moments in it, those of the images."""
    if "mu" in arrays_in(file):
        pool, spatial = read_statistics(file), read_spatial_statistics(file)
        return Reference(identity_of(file), pool, spatial, images_of, images)
    if images is None:
        raise BadInput(
            f"{file}: holds {', '.join(arrays_in(file)) or 'nothing'}; expected images (arr_0), features, or "
            "moments (mu, sigma)"
        )
    return reference_of(images, images_of)


def identity_of(file: Path) -> Identity:
    """A file by name and hash, with the number of images that it tells of itself."""
    count = None
    if "count" in arrays_in(file):
        with np.load(file, allow_pickle=False) as arrays:
            count = int(arrays["count"])
    return Identity(file.name, sha256(file), count)


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
