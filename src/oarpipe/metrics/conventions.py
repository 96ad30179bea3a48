"""Every metric of a sample set against a reference, by either of two conventions, from features made once.

`fidelity` is what torch-fidelity computes: FID, KID, IS over ten shuffled splits, precision and recall
from float32 distances. `adm` is what ADM's evaluator computes: FID, sFID, IS over splits in file order,
precision and recall from float16 distances. The two call different numbers by the same name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oarpipe.base.identity import Identity
from oarpipe.config.outputs import Convention
from oarpipe.errors import BadInput
from oarpipe.metrics import adm, fidelity
from oarpipe.metrics.extractors import Short, metric_name
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.measurements import Measurement, Network
from oarpipe.metrics.statistics import Statistics, statistics

Measurements = dict[Convention, dict[str, Measurement]]


@dataclass(frozen=True, eq=False)
class Reference:
    """What samples are compared with.

    Fréchet distances are taken to the moments `pool` and `spatial`, which are `moments_of` (or `spatial_of`);
    everything else to `images`, which are `images_of`, and may be fewer or missing.
    """

    moments_of: Identity
    pool: Statistics
    spatial: Statistics | None = None
    images_of: Identity | None = None
    images: FeatureSet | None = None
    spatial_of: Identity | None = None


def reference_of(images: FeatureSet, identity: Identity) -> Reference:
    """Images and their own moments."""
    return Reference(identity, statistics(images.features), images.spatial, identity, images)


@dataclass(frozen=True)
class Settings:
    """What a convention leaves open; the defaults are torch-fidelity's and ADM's."""

    kernel_subsets: int = 100
    kernel_subset_size: int = 1000
    neighbourhood: int = 3
    split_size: int = adm.SPLIT_SIZE


@dataclass(frozen=True)
class Judge:
    """The metrics of sets against one reference.

    judge = Judge(reference, Network("inception", "inception", sha256))
    judge.values(samples, ["fidelity", "adm"])["adm"]["fid"].value
    """

    reference: Reference
    network: Network
    settings: Settings = Settings()

    def name(self, short: Short) -> str:
        """A metric's name on these features: `fid`, or `fd[NAME]`."""
        return metric_name(short, self.network.name, self.network.kind)

    def values(self, one: FeatureSet, conventions: Sequence[Convention]) -> Measurements:
        """Everything that the set, the reference and each convention admit, by the metrics' names."""
        found = self.distances(one, conventions)
        for convention in conventions:
            scores = self._adm_scores(one) if convention == "adm" else self._fidelity_scores(one)
            found[convention] |= {value.metric: value for value in scores}
        return found

    def distances(self, one: FeatureSet, conventions: Sequence[Convention]) -> Measurements:
        """Fréchet and kernel distances alone; the Fréchet distance is the same by both conventions."""
        pool, of = self.reference.pool, self.reference.moments_of
        self._check_dimensions(one.features.shape[1], len(pool.mean), "features")
        distance = fidelity.frechet_distance(one, pool)
        found: Measurements = {}
        for convention in conventions:
            more = self._spatial_distance(one) if convention == "adm" else self._kernel_distance(one)
            first = self._measurement(self.name("fd"), distance, convention, one, of)
            found[convention] = {value.metric: value for value in [first, *more]}
        return found

    def _spatial_distance(self, one: FeatureSet) -> Iterator[Measurement]:
        ours, theirs = one.spatial, self.reference.spatial
        if ours is not None and theirs is not None:
            self._check_dimensions(len(ours.mean), len(theirs.mean), "spatial features")
            distance = fidelity.frechet_distance(ours, theirs)
            of = self.reference.spatial_of or self.reference.moments_of
            yield self._measurement(self.name("sfd"), distance, "adm", one, of)

    def _kernel_distance(self, one: FeatureSet) -> Iterator[Measurement]:
        if self.reference.images is not None:
            subsets, size = self.settings.kernel_subsets, self.settings.kernel_subset_size
            images = self.reference.images
            distance = fidelity.kernel_distance(one, images, subsets=subsets, subset_size=size)
            how = f"{subsets} subsets of {size:,}"
            yield self._measurement(self.name("kd"), distance, "fidelity", one, self.reference.images_of, how)

    def _fidelity_scores(self, one: FeatureSet) -> Iterator[Measurement]:
        if one.logits.shape[1]:
            score, how = fidelity.inception_score(one), f"{fidelity.INCEPTION_SPLITS} shuffled splits"
            yield self._measurement(self.name("is"), score, "fidelity", one, None, how)
        if self.reference.images is not None:
            k = self.settings.neighbourhood
            shares = fidelity.precision_recall(one, self.reference.images, neighbourhood=k)
            for name, share in zip(("precision", "recall"), shares, strict=True):
                yield self._measurement(name, share, "fidelity", one, self.reference.images_of, f"k = {k}")

    def _adm_scores(self, one: FeatureSet) -> Iterator[Measurement]:
        if one.logits.shape[1]:
            size = self.settings.split_size
            score = adm.inception_score(one.logits, split_size=size)
            yield self._measurement(self.name("is"), score, "adm", one, None, f"splits of {size:,}, in order")
        images, of = self.reference.images, self.reference.images_of
        if images is not None and of is not None:
            if len(images) > adm.REFERENCES:
                images, of = images.evenly(adm.REFERENCES), of.part(adm.REFERENCES)
            shares = adm.precision_recall(one.features, images.features)
            for name, share in zip(("precision", "recall"), shares, strict=True):
                yield self._measurement(name, share, "adm", one, of, f"k = {adm.NEIGHBOURS}, float16")

    def _measurement(
        self,
        metric: str,
        number: float,
        convention: Convention,
        one: FeatureSet,
        reference: Identity | None,
        how: str = "",
    ) -> Measurement:
        return Measurement(metric, number, convention, self.network, reference, len(one), how)

    def _check_dimensions(self, ours: int, theirs: int, what: str) -> None:
        if ours != theirs:
            raise BadInput(
                f"{self.reference.moments_of.name}: statistics of {theirs} {what}, but the samples have "
                f"{ours}; they come from different networks, so measure both with one"
            )
