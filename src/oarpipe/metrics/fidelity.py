"""Distances between feature sets, as torch-fidelity computes them.

What is called FID, KID and IS on Inception's features is called fd[NAME], kd[NAME] and is[NAME] on the
features NAME (`extractors.metric_name`). Such numbers compare only among themselves.
"""

import numpy as np
import torch

from oarpipe.base.log import log
from oarpipe.errors import BadInput
from oarpipe.metrics.extractors import import_torch_fidelity
from oarpipe.metrics.features import FeatureSet
from oarpipe.metrics.statistics import Statistics, statistics

INCEPTION_SPLITS = 10
NEIGHBOURS_BLOCK = 2000  # rows of the blocks in which precision and recall compare all pairs


def frechet_distance(a: FeatureSet | Statistics, b: FeatureSet | Statistics) -> float:
    """|mean_a - mean_b|^2 + tr(cov_a + cov_b - 2 (cov_a cov_b)^(1/2)) (Heusel et al. 2017, Eq. 6)."""
    module = import_torch_fidelity("metric_fid")
    first, second = (x if isinstance(x, Statistics) else statistics(x.features) for x in (a, b))
    given = [{"mu": one.mean, "sigma": one.covariance} for one in (first, second)]
    return float(module.fid_statistics_to_metric(*given, verbose=False)[module.KEY_METRIC_FID])


def kernel_distance(a: FeatureSet, b: FeatureSet, *, subsets: int, subset_size: int) -> float:
    """Mean unbiased squared MMD over random subsets, cubic polynomial kernel (Binkowski et al. 2018).

    A subset is never larger than the smaller set: a smaller one is used then, and that is logged.
    """
    module = import_torch_fidelity("metric_kid")
    size = min(subset_size, len(a), len(b))
    if size < 2:
        raise BadInput(f"a kernel distance needs at least two images a set, got {len(a)} and {len(b)}")
    if size < subset_size:
        log.info("kernel distance: subsets of %d instead of %d, the smaller set's count", size, subset_size)
    result = module.kid_features_to_metric(
        *_tensors(a, b), kid_subsets=subsets, kid_subset_size=size, verbose=False
    )
    return float(result[module.KEY_METRIC_KID_MEAN])


def inception_score(measured: FeatureSet) -> float:
    """exp of the mean divergence between p(class | image) and p(class), over 10 shuffled splits."""
    module = import_torch_fidelity("metric_isc")
    splits = min(INCEPTION_SPLITS, len(measured))
    result = module.isc_features_to_metric(torch.from_numpy(measured.logits), splits=splits)
    return float(result[module.KEY_METRIC_ISC_MEAN])


def precision_recall(
    generated: FeatureSet, reference: FeatureSet, *, neighbourhood: int
) -> tuple[float, float]:
    """Shares of generated images among the reference, and the other way (Kynkäänniemi et al. 2019).

    An image is among a set if it is no farther from one of its members than that member's
    `neighbourhood`-th neighbour in the set.
    """
    smallest = min(len(generated), len(reference))
    if smallest <= neighbourhood:
        raise BadInput(f"neighbourhood: {neighbourhood} neighbours asked for in a set of {smallest} images")
    module = import_torch_fidelity("metric_prc")
    result = module.prc_features_to_metric(
        *_tensors(generated, reference),
        prc_neighborhood=neighbourhood,
        prc_batch_size=NEIGHBOURS_BLOCK,
        save_cpu_ram=True,
        verbose=False,
    )
    return float(result[module.KEY_METRIC_PRECISION]), float(result[module.KEY_METRIC_RECALL])


def accuracy(measured: FeatureSet) -> float:
    """Share of the images that the feature network takes for the class they were meant to show."""
    if (measured.labels < 0).any():
        raise BadInput("accuracy needs a class for every image, and these were measured without")
    return float(np.mean(measured.logits.argmax(axis=1) == measured.labels))


def _tensors(*sets: FeatureSet) -> list[torch.Tensor]:
    return [torch.from_numpy(one.features) for one in sets]
