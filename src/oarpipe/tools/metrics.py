"""Measures samples against a reference: images wherever they lie, or activations that you have."""

import json as plain
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.files import sha256
from oarpipe.base.log import log
from oarpipe.base.receipts import checked
from oarpipe.config.datasets import Split
from oarpipe.config.outputs import Convention
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    from oarpipe.base.identity import Identity
    from oarpipe.metrics.conventions import Reference
    from oarpipe.metrics.extractors import Extractor
    from oarpipe.metrics.features import FeatureSet
    from oarpipe.metrics.measurements import Measurement
    from oarpipe.metrics.reference import ReferenceFile
    from oarpipe.metrics.statistics import Statistics

BATCH = 64  # images measured at once; no result depends on it
INCEPTION = "inception"


def metrics(
    *,
    convention: Convention,
    reference: Path | None = None,
    samples: Path | None = None,
    features: Path | None = None,
    split: Split | None = None,
    resolution: int | None = None,
    reference_features: Path | None = None,
    sample_features: Path | None = None,
    reference_spatial: Path | None = None,
    sample_spatial: Path | None = None,
    sample_logits: Path | None = None,
    sample_probabilities: Path | None = None,
    split_size: int | None = None,
    network: str | None = None,
    json: bool = False,
) -> None:
    """Every metric that the given files admit, each with its convention, network, reference and counts.

    oarpipe metrics --convention adm --reference VIRTUAL_imagenet256_labeled.npz --samples samples.npz \\
      --features results/b/seed-0/features/inception
    oarpipe metrics --convention adm --reference-features R.npy --sample-features S.npy --json

    Images are a results folder (dataset, sample set), an .npz or .npy, or a folder. A reference may also be a
    file of `make-reference`, or moments alone. Activations [n, D] are taken for Inception's, whose distances
    are called fid, sfid and kid, unless --network gives others a name.
    """
    from oarpipe.metrics import adm
    from oarpipe.metrics.conventions import Judge, Settings

    if split_size is not None and split_size < 1:
        raise BadInput(f"--split-size: expected at least 1, got {split_size}")
    measuring = _Measuring(features, network, split or "all", resolution)
    if reference_features is not None:
        against = _given_reference(reference_features, reference_spatial)
    else:
        against = measuring.reference(_needed(reference, "reference"))
    if sample_features is not None:
        one = _activations(sample_features, sample_spatial, _logits(sample_logits, sample_probabilities))
    else:
        one = measuring.samples(_needed(samples, "sample"))
    judge = Judge(against, measuring.network, Settings(split_size=split_size or adm.SPLIT_SIZE))
    values = [_renamed(value) for value in judge.values(one, [convention])[convention].values()]
    if json:
        print(plain.dumps({value.metric: value.facts() for value in values}, indent=1))
    else:
        print("\n".join(map(_line, values)))


class _Measuring:
    """Turns what lies at a path into features, with the network that is given."""

    def __init__(
        self, features: Path | None, network: str | None, split: Split, resolution: int | None
    ) -> None:
        from oarpipe.metrics.extractors import load_extractor, network_facts
        from oarpipe.metrics.measurements import Network

        self._split: Split = split
        self._resolution = resolution
        self._extractor: Extractor | None = None
        if features is None:
            name = network or INCEPTION
            self.network = Network(name, INCEPTION if name == INCEPTION else "given")
        elif network is None:
            receipt = checked(features, "features")
            self.network = Network.read(network_facts(receipt))
            self._extractor = load_extractor(receipt)
        else:
            raise BadInput("--network says whose activations are given; what --features names needs no name")

    def reference(self, path: Path) -> "Reference":
        """Moments and, if they can be had, features of images."""
        from oarpipe.metrics.conventions import reference_of

        held = _held(path)
        images, identity = self._measured(path, held)
        if held is not None:
            return held.reference(images, identity)
        assert images is not None, f"{path}: images were measured, but left no features"
        return reference_of(images, identity)

    def samples(self, path: Path) -> "FeatureSet":
        """Features of images, or those that a file holds."""
        found, _ = self._measured(path, _held(path))
        if found is None:
            raise BadInput(f"{path}: moments alone; expected samples: images, or features")
        return found

    def _measured(self, path: Path, held: "ReferenceFile | None") -> "tuple[FeatureSet | None, Identity]":
        """What the network says of the images at a path; nothing of a file of moments alone."""
        from oarpipe.base.identity import Identity
        from oarpipe.data.image_sets import open_image_set
        from oarpipe.metrics.features import measure

        if held is not None:
            known, has_images = held.features(self.network), "arr_0" in held.arrays
            if known is not None or ("mu" in held.arrays and (not has_images or self._extractor is None)):
                if has_images and known is None:
                    log.warning("%s: without --features its images are not measured", path)
                return known, Identity(path.name, held.digest, None if known is None else len(known))
        if self._extractor is None:
            raise BadInput(f"{path}: to measure images, give the network's results folder with --features")
        digest = "" if held is None else held.digest
        images = open_image_set(path, split=self._split, resolution=self._resolution, digest=digest)
        found = measure(self._extractor, images.stream(BATCH), labels=images.labels)
        return found, Identity(images.name, images.digest, images.count)


def _held(path: Path) -> "ReferenceFile | None":
    """A file of arrays, opened."""
    from oarpipe.metrics.reference import ReferenceFile

    return ReferenceFile(path) if path.suffix.lower() == ".npz" else None


def _needed(path: Path | None, what: str) -> Path:
    if path is None:
        option = "samples" if what == "sample" else what
        raise BadInput(f"no {what}s to measure: give --{option} PATH or --{what}-features FILE")
    return path


def _given_reference(file: Path, spatial: Path | None) -> "Reference":
    from oarpipe.base.identity import Identity
    from oarpipe.metrics.conventions import reference_of

    images = _activations(file, spatial)
    found = reference_of(images, Identity(file.name, sha256(file), len(images)))
    if spatial is None:
        return found
    return replace(found, spatial_of=Identity(spatial.name, sha256(spatial), len(images)))


def _activations(file: Path, spatial: Path | None, logits: "np.ndarray | None" = None) -> "FeatureSet":
    """A set of which somebody else has measured the features."""
    import numpy as np

    from oarpipe.metrics.features import UNLABELLED, FeatureSet

    features = _array(file)
    logits = features[:, :0] if logits is None else logits
    if len(logits) != len(features):
        raise BadInput(f"{file}: {len(features)} samples, but logits or probabilities of {len(logits)}")
    labels = np.full(len(features), UNLABELLED, np.int32)
    moments = None if spatial is None else _moments(spatial, len(features))
    return FeatureSet(features, logits, labels, moments)


def _moments(file: Path, count: int) -> "Statistics":
    """Of spatial features: [n, H W C] with the channels last, or [n, H, W, C]."""
    from oarpipe.metrics.extractors import SPATIAL_CHANNELS
    from oarpipe.metrics.statistics import statistics

    given = _array(file, dimensions=(2, 4))
    if given.ndim == 4 and given.shape[3] != SPATIAL_CHANNELS:
        raise BadInput(
            f"{file}: spatial features are {list(given.shape)}, expected [n, height, width, "
            f"{SPATIAL_CHANNELS}]: ADM's order has the channels last"
        )
    if len(given) != count:
        raise BadInput(f"{file}: spatial features of {len(given)} images, but pooled ones of {count}")
    return statistics(given.reshape(len(given), -1))


def _logits(logits: Path | None, probabilities: Path | None) -> "np.ndarray | None":
    """Of the classes, by sample; the logarithms of probabilities are logits."""
    import numpy as np

    if logits is not None and probabilities is not None:
        raise BadInput("--sample-logits and --sample-probabilities: give one of them")
    if logits is not None:
        return _array(logits)
    if probabilities is None:
        return None
    given = _array(probabilities)
    if (given < 0).any() or not np.allclose(given.sum(axis=1), 1, atol=1e-3):
        raise BadInput(f"{probabilities}: expected the probabilities of a sample's classes to sum to 1")
    with np.errstate(divide="ignore"):
        logarithms: np.ndarray = np.log(given)
    return logarithms


def _array(file: Path, dimensions: tuple[int, ...] = (2,)) -> "np.ndarray":
    """Finite float32 numbers from an .npy, a row a sample."""
    import numpy as np

    from oarpipe.data.npy import read_npy

    given = read_npy(file)
    if given.ndim not in dimensions or given.dtype.kind not in "fiu" or 0 in given.shape:
        shapes = " or ".join({2: "[n, D]", 4: "[n, H, W, C]"}[number] for number in dimensions)
        raise BadInput(f"{file}: holds {given.dtype} {list(given.shape)}, expected numbers {shapes}")
    values = given.astype(np.float32)
    if not np.isfinite(values).all():
        raise BadInput(f"{file}: holds values that are not finite")
    return values


def _renamed(value: "Measurement") -> "Measurement":
    """What the evaluators call it."""
    return replace(value, metric="inception_score") if value.metric == "is" else value


def _line(value: "Measurement") -> str:
    against = ""
    if value.reference is not None:
        count = "" if value.reference.count is None else f" ({value.reference.count:,} images)"
        against = f" against {value.reference.name}{count}"
    how = f"; {value.how}" if value.how else ""
    unsure = "" if value.network.sha256 else " (as you say)"
    return (
        f"{value.metric:<16} {value.value:<12.6g} {value.convention}, {value.network.name}{unsure}, "
        f"{value.count:,} samples{against}{how}"
    )
