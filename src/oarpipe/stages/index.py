"""Lists the images of a dataset, with class, split and the digest of every image's bytes."""

from pathlib import Path
from typing import TYPE_CHECKING

from oarpipe.base.log import log
from oarpipe.base.receipts import Stage
from oarpipe.config.datasets import DatasetConfig, InMemoryConfig
from oarpipe.config.recipe import Recipe
from oarpipe.errors import BadInput

if TYPE_CHECKING:
    from oarpipe.data.indexing import Examined

REJECTED = "rejected.parquet"


def index(recipe: Recipe[DatasetConfig], *, out: Path) -> None:
    """Writes `index.parquet`, `rejected.parquet` and, of images with captions, `captions.parquet`.

    Images are listed every time: added or changed ones make the index anew. `BadInput` if more than
    `max_rejected` of them cannot be used; `rejected.parquet` then tells which and why.
    """
    stage = Stage(recipe, out)
    if stage.is_done(unless=lambda: _has_changed(recipe.entry, out)):
        return
    from oarpipe.data.indexing import examine
    from oarpipe.data.sources import open_source

    config = recipe.entry
    found = examine(open_source(config))
    files = ["index.parquet"]
    if not isinstance(config, InMemoryConfig):
        files.append(REJECTED)
        _check_rejected(found, config.max_rejected, out)
    found.index.write(out / "index.parquet")
    if found.captions is not None:
        files.append("captions.parquet")
        found.write_captions(out / "captions.parquet")
    _tell(found)
    stage.finish(*files)


def _check_rejected(found: "Examined", allowed: float, out: Path) -> None:
    found.write_rejected(out / REJECTED)
    if found.ignored:
        log.info("%d other files are ignored, see %s", len(found.ignored), out / REJECTED)
    if not found.rejected:
        return
    path, reason = found.rejected[0]
    told = (
        f"{len(found.rejected)} of {len(found.rejected) + len(found.index)} images are unusable, "
        f"such as {path}: {reason} (all: {out / REJECTED})"
    )
    if not len(found.index) or found.rejected_share > allowed:
        raise BadInput(f"{told}; repair or remove them, or raise `max_rejected`, which is {allowed:g}")
    log.warning("%s", told)


def _tell(found: "Examined") -> None:
    index = found.index
    num_test = len(index.rows("test"))
    log.info(
        "%d images of %d classes, %d to train on, %d held out",
        len(index),
        len(index.classes),
        len(index) - num_test,
        num_test,
    )
    if num_test == 0:
        log.warning(
            "no test images, so nothing can be measured on them; lower test_every, or name a test_path"
        )


def _has_changed(config: DatasetConfig, out: Path) -> bool:
    """Whether other images lie there than were indexed; other bytes of equal size show on loading."""
    if isinstance(config, InMemoryConfig):
        return False
    from oarpipe.data.index import ImageIndex
    from oarpipe.data.sources import open_source

    known = ImageIndex.read(out / "index.parquet")
    has_changed = open_source(config).listing().fingerprint() != known.listing
    if has_changed:
        log.warning(
            "%s: images were added, removed or changed since they were indexed; indexing anew", config.path
        )
    return has_changed
