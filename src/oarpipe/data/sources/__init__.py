"""The kinds of datasets: what each lists, where an image's bytes lie, and how they become a picture."""

from oarpipe.config.datasets import (
    ArraysConfig,
    CaptionsConfig,
    DatasetConfig,
    DigitsConfig,
    FolderConfig,
    KeyedConfig,
    ListConfig,
    TarConfig,
)
from oarpipe.data.sources.arrays import ArraySource
from oarpipe.data.sources.digits import DigitsSource
from oarpipe.data.sources.folder import FolderSource
from oarpipe.data.sources.keyed import KeyedSource
from oarpipe.data.sources.listed import CaptionsSource, ListSource
from oarpipe.data.sources.listing import Source
from oarpipe.data.sources.tar import TarSource

__all__ = ["Source", "open_source"]


def open_source(config: DatasetConfig) -> Source:
    """The images that a dataset's options name; nothing is read yet."""
    match config:
        case DigitsConfig():
            return DigitsSource()
        case KeyedConfig():
            return KeyedSource(config)
        case FolderConfig():
            return FolderSource(config)
        case TarConfig():
            return TarSource(config)
        case ListConfig():
            return ListSource(config)
        case CaptionsConfig():
            return CaptionsSource(config)
        case ArraysConfig():
            return ArraySource(config)
