"""Lists the images of a dataset, with class, split and the digest of every image's bytes."""

from pathlib import Path

from oarpipe.base.files import Stage
from oarpipe.base.log import log
from oarpipe.config.datasets import DatasetConfig, FolderConfig
from oarpipe.config.recipe import Recipe


def index(recipe: Recipe[DatasetConfig], *, out: Path) -> None:
    """Writes `index.parquet`. A folder is looked at every time: added or changed images make it anew."""
    stage = Stage(recipe, out)
    if stage.is_done() and not _has_changed(recipe.entry, out):
        return
    from oarpipe.data.images import index_digits, index_folder

    config = recipe.entry
    found = (
        index_folder(Path(config.path), config.test_every)
        if isinstance(config, FolderConfig)
        else index_digits()
    )
    num_test = len(found.rows("test"))
    log.info(
        "%d images of %d classes, %d to train on, %d held out",
        len(found),
        len(found.classes),
        len(found) - num_test,
        num_test,
    )
    if num_test == 0:
        log.warning(
            "no test images: every class has fewer than test_every; lower it, or evaluation cannot run"
        )
    found.write(out / "index.parquet")
    stage.finish("index.parquet")


def _has_changed(config: DatasetConfig, out: Path) -> bool:
    """Whether a folder's names or sizes differ from its index; other bytes of equal size show on loading."""
    if not isinstance(config, FolderConfig):
        return False
    import numpy as np

    from oarpipe.data.images import list_folder
    from oarpipe.data.index import ImageIndex

    known = ImageIndex.read(out / "index.parquet")
    folder = Path(config.path)
    files = list_folder(folder)
    same = [file.relative_to(folder).as_posix() for file in files] == known.path and np.array_equal(
        [file.stat().st_size for file in files], known.size
    )
    if not same:
        log.warning(
            "%s: images were added, removed or changed since they were indexed; indexing anew", folder
        )
    return not same
