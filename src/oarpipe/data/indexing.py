"""Looks at every image of a dataset once: what can be decoded is indexed, the rest is told with reasons."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oarpipe.base.files import write_atomically
from oarpipe.base.log import progress
from oarpipe.data.index import ImageIndex
from oarpipe.data.parallel import in_parallel
from oarpipe.data.sources import Source
from oarpipe.data.sources.listing import Listing
from oarpipe.errors import BadInput

_REJECTED = pa.schema({"path": pa.string(), "reason": pa.string(), "ignored": pa.bool_()})
_CAPTIONS = pa.schema({"sample_id": pa.int64(), "caption": pa.int16(), "text": pa.string()})


@dataclass(frozen=True)
class Examined:
    """The index of the usable images, their captions if there are any, and the rest."""

    index: ImageIndex
    captions: Sequence[Sequence[str]] | None
    rejected: Sequence[tuple[str, str]]
    ignored: Sequence[tuple[str, str]]

    @property
    def rejected_share(self) -> float:
        """Of all that should have been images."""
        return len(self.rejected) / max(1, len(self.rejected) + len(self.index))

    def write_rejected(self, file: Path) -> None:
        """`path`, `reason`, and whether it was ignored (not an image by its name) instead of rejected."""
        told = [*self.rejected, *self.ignored]
        columns = {
            "path": [path for path, _ in told],
            "reason": [reason for _, reason in told],
            "ignored": [False] * len(self.rejected) + [True] * len(self.ignored),
        }
        _write(file, pa.table(columns, schema=_REJECTED))

    def write_captions(self, file: Path) -> None:
        """`sample_id`, the number of the caption among the sample's, and its text."""
        assert self.captions is not None
        counts = [len(texts) for texts in self.captions]
        columns = {
            "sample_id": np.repeat(self.index.sample_id, counts),
            "caption": np.concatenate([np.arange(count, dtype=np.int16) for count in counts]),
            "text": [text for texts in self.captions for text in texts],
        }
        _write(file, pa.table(columns, schema=_CAPTIONS))


def examine(source: Source) -> Examined:
    """Reads and decodes every image; `BadInput` if none is usable."""
    listing = source.listing()
    looks = in_parallel(lambda row: _look_at(source, listing, row), range(len(listing)))
    digests, rejected = [], list(listing.rejected)
    for row, (digest, reason) in enumerate(progress(looks, "index", total=len(listing), unit="images")):
        digests.append(digest)
        if digest is None:
            rejected.append((listing.path[row], reason))
    kept = [row for row, digest in enumerate(digests) if digest is not None]
    index = ImageIndex(
        sample_id=np.arange(len(kept)),
        path=[listing.path[row] for row in kept],
        size=listing.size[kept],
        digest=[digest for digest in digests if digest is not None],
        label=listing.label[kept],
        split=[listing.split[row] for row in kept],
        classes=listing.classes,
        offset=None if listing.offset is None else listing.offset[kept],
        listing=listing.fingerprint(),
    )
    captions = None if listing.captions is None else [listing.captions[row] for row in kept]
    return Examined(index, captions, rejected, listing.ignored)


def _look_at(source: Source, listing: Listing, row: int) -> tuple[str | None, str]:
    """The hash of an image that can be decoded, or none and the reason."""
    place = listing.place(row)
    try:
        content = source.content(place)
        source.picture(place, content)
    except OSError as error:
        return None, f"cannot be read ({error.strerror or error})"
    except BadInput as error:
        return None, str(error)
    return hashlib.sha256(content).hexdigest(), ""


def _write(file: Path, table: pa.Table) -> None:
    write_atomically(file, lambda partial: pq.write_table(table, partial, compression="zstd"))
