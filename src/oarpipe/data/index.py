"""Which images a dataset has, of which class and split: one row an image, numbered by sample id."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int32, Int64

from oarpipe.base.files import write_atomically
from oarpipe.config.datasets import Split
from oarpipe.data.sources.listing import Place
from oarpipe.errors import IncompleteData

_SCHEMA = pa.schema(
    {
        "sample_id": pa.int64(),
        "path": pa.string(),
        "size": pa.int64(),
        "digest": pa.string(),
        "label": pa.int32(),
        "split": pa.string(),
    }
)


@dataclass(frozen=True)
class ImageIndex:
    """`sample_id[i] == i`; `path` is relative to the dataset's folder, `digest` the sha256 of the bytes.

    `offset` is where an image begins in its archive, None where each is a file of its own. `listing` is
    the fingerprint of what was found there, by which a change is noticed.
    """

    sample_id: Int64[np.ndarray, " n"]
    path: list[str]
    size: Int64[np.ndarray, " n"]
    digest: list[str]
    label: Int32[np.ndarray, " n"]
    split: list[str]
    classes: list[str]
    offset: Int64[np.ndarray, " n"] | None = None
    listing: str = ""

    def __len__(self) -> int:
        return len(self.path)

    def rows(self, split: Split) -> Int64[np.ndarray, " m"]:
        """The sample ids of a split, ascending."""
        return self.sample_id if split == "all" else self.sample_id[np.array(self.split) == split]

    def place(self, sample_id: int) -> Place:
        """Where the bytes of an image lie."""
        offset = 0 if self.offset is None else int(self.offset[sample_id])
        return Place(self.path[sample_id], self.split[sample_id], offset, int(self.size[sample_id]))

    def write(self, file: Path) -> None:
        """Writes the index as parquet, classes and listing in the file's metadata."""
        schema = _SCHEMA if self.offset is None else _SCHEMA.append(pa.field("offset", pa.int64()))
        facts = {"classes": self.classes, **({"listing": self.listing} if self.listing else {})}
        columns = {name: getattr(self, name) for name in schema.names}
        table = pa.table(columns, schema=schema.with_metadata({"oarpipe": json.dumps(facts)}))
        write_atomically(file, lambda partial: pq.write_table(table, partial, compression="zstd"))

    @classmethod
    def read(cls, file: Path) -> "ImageIndex":
        """An index that was written; `IncompleteData` names a missing or damaged file."""
        try:
            table = pq.read_table(file)
            facts = json.loads(table.schema.metadata[b"oarpipe"])
            columns = {name: table.column(name).to_numpy() for name in _SCHEMA.names}
            classes, listing = facts["classes"], facts.get("listing", "")
            offset = table.column("offset").to_numpy() if "offset" in table.column_names else None
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, json.JSONDecodeError) as error:
            raise IncompleteData(f"{file}: missing or damaged; run index again to make it anew") from error
        texts: dict[str, list[str]] = {name: columns[name].tolist() for name in ("path", "digest", "split")}
        return cls(
            sample_id=columns["sample_id"],
            size=columns["size"],
            label=columns["label"],
            classes=classes,
            offset=offset,
            listing=listing,
            **texts,
        )
