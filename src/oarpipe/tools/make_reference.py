"""Writes a reference file of any images, laid out as ADM's: their moments, and some of them."""

from pathlib import Path

from oarpipe.base.log import log
from oarpipe.base.receipts import checked
from oarpipe.config.datasets import Split
from oarpipe.errors import BadInput

KEPT = 10_000  # images that ADM's own files hold for precision and recall
BATCH = 64  # images measured at once; no result depends on it


def make_reference(
    images: Path,
    *,
    features: Path,
    out: Path,
    split: Split | None = None,
    resolution: int | None = None,
    keep: int | None = None,
) -> None:
    """Measures all images, and keeps 10,000 of them (or --keep), evenly spread, with their features.

    oarpipe make-reference photos --resolution 256 --features results/b/seed-0/features/inception \\
      --out photos.npz

    Images are a results folder (dataset, sample set), an .npz or .npy, or a folder. An evaluation takes the
    file as its `reference`, `oarpipe metrics` as --reference.
    """
    from oarpipe.data.image_sets import open_image_set
    from oarpipe.metrics.extractors import load_extractor
    from oarpipe.metrics.reference import write_reference

    kept = KEPT if keep is None else keep
    if kept < 1:
        raise BadInput(f"--keep: expected at least 1 image, got {kept}")
    if out.suffix.lower() != ".npz":
        raise BadInput(f"--out {out}: expected a file named .npz")
    network = checked(features, "features")
    given = open_image_set(images, split=split or "all", resolution=resolution)
    write_reference(out, load_extractor(network), given.stream(BATCH), total=given.count, kept=kept)
    log.info("wrote %s: moments of %d images, %d of them kept", out, given.count, min(kept, given.count))
