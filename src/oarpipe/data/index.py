"""Which images a dataset has, of which class and split: one row an image, numbered by sample id."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int32, Int64

from oarpipe.base.files import write_atomically
from oarpipe.config.datasets import Split
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
    """`sample_id[i] == i`; `path` is relative to the dataset's folder, `digest` the sha256 of the bytes."""

    sample_id: Int64[np.ndarray, " n"]
    path: list[str]
    size: Int64[np.ndarray, " n"]
    digest: list[str]
    label: Int32[np.ndarray, " n"]
    split: list[str]
    classes: list[str]

    def __len__(self) -> int:
        return len(self.path)

    def rows(self, split: Split) -> Int64[np.ndarray, " m"]:
        """The sample ids of a split, ascending."""
        return self.sample_id if split == "all" else self.sample_id[np.array(self.split) == split]

    def write(self, file: Path) -> None:
        """Writes the index as parquet, the names of the classes in the file's metadata."""
        columns = {name: getattr(self, name) for name in _SCHEMA.names}
        table = pa.table(
            columns, schema=_SCHEMA.with_metadata({"oarpipe": json.dumps({"classes": self.classes})})
        )
        write_atomically(file, lambda partial: pq.write_table(table, partial, compression="zstd"))

    @classmethod
    def read(cls, file: Path) -> "ImageIndex":
        """An index that was written; `IncompleteData` names a missing or damaged file."""
        try:
            table = pq.read_table(file)
            classes = json.loads(table.schema.metadata[b"oarpipe"])["classes"]
            columns = {name: table.column(name).to_numpy() for name in _SCHEMA.names}
        except (OSError, pa.ArrowInvalid, KeyError, TypeError, json.JSONDecodeError) as error:
            raise IncompleteData(f"{file}: missing or damaged; run index again to make it anew") from error
        texts: dict[str, list[str]] = {name: columns[name].tolist() for name in ("path", "digest", "split")}
        return cls(
            sample_id=columns["sample_id"],
            size=columns["size"],
            label=columns["label"],
            classes=classes,
            **texts,
        )


def digits_split(labels: Sequence[int] | Int32[np.ndarray, " n"]) -> list[str]:
    """Every fifth image of the sequence ordered by class and sample id, from the first, is a test image."""
    split = np.full(len(labels), "train", dtype=object)
    split[np.argsort(np.asarray(labels), kind="stable")[::5]] = "test"
    return [str(name) for name in split]


def folder_split(labels: Sequence[int] | Int32[np.ndarray, " n"], test_every: int) -> list[str]:
    """Within each class every `test_every`-th image is a test image; a smaller class has none."""
    seen: dict[int, int] = {}
    split = []
    for label in labels:
        seen[int(label)] = seen.get(int(label), 0) + 1
        split.append("test" if seen[int(label)] % test_every == 0 else "train")
    return split
