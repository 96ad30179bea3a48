"""RAR's layout: one .jsonl, a line `{"class_id": int, "tokens": [int, …]}` a view."""

import json
import re
from array import array
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from oarpipe.base.log import log
from oarpipe.config.tokenizers import ImportedTokensConfig
from oarpipe.data.layouts.listing import Listing, view_names
from oarpipe.errors import BadInput, IncompleteData

_CLASS = re.compile(rb'"class_id":\s*(\d+)')


def list_rar(file: Path, config: ImportedTokensConfig) -> Listing:
    """`config.views` lines a sample, numbered from 0.

    Lines of one image are not marked. The ten-crop file has the ten of an image in a row; the other one
    has a batch of images before the batch of their mirror images, so its lines are samples of their own.
    """
    starts, classes = _lines(file)
    if not len(classes) or len(classes) % config.views:
        raise IncompleteData(
            f"{file}: {len(classes):,} lines, no multiple of the {config.views} of an image; fetch the file "
            "again, or mend the entry's `views`"
        )
    labels = classes.reshape(-1, config.views)
    mixed = np.flatnonzero((labels != labels[:, :1]).any(axis=1))

    def where(row: int) -> str:
        return f"{file}, line {row * config.views + 1}"

    if len(mixed):
        raise BadInput(
            f"{where(int(mixed[0]))}: this and the next {config.views - 1} lines are of several classes, so "
            "not of one image; leave the entry's `views` out"
        )

    def read(row: int) -> np.ndarray:
        begin, end = (int(starts[each * config.views]) for each in (row, row + 1))
        with file.open("rb", buffering=0) as handle:
            handle.seek(begin)
            text = handle.read(end - begin)
        try:
            codes = np.array([json.loads(line)["tokens"] for line in text.splitlines()])
        except (ValueError, KeyError, TypeError) as error:
            raise IncompleteData(f"{where(row)}: broken ({error}); fetch the file again") from error
        if codes.ndim != 2 or codes.dtype.kind != "i":
            raise BadInput(f'{where(row)}: expected "tokens" to be a list of whole numbers')
        return codes

    return Listing(
        sample_ids=np.arange(len(labels), dtype=np.int64),
        labels=np.ascontiguousarray(labels[:, 0]),
        classes=None,
        views=view_names(config.views),
        read=read,
        where=where,
    )


def _lines(file: Path) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " n"]]:
    """Where each line begins (and the last one ends), and its class."""
    log.info("%s: listing its lines", file)
    starts, classes = array("q", [0]), array("q")
    with file.open("rb") as handle:
        for line in handle:
            told = _CLASS.search(line)
            if told is None:
                raise BadInput(f'{file}, line {len(starts)}: no "class_id"; expected one object a line')
            starts.append(starts[-1] + len(line))
            classes.append(int(told[1]))
    return np.array(starts, np.int64), np.array(classes, np.int64)
