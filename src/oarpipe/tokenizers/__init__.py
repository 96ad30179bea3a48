"""Tokenizers: images to a grid of codes and back, and the folders they are kept in."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oarpipe.tokenizers.folder import load_tokenizer
    from oarpipe.tokenizers.protocol import ImageTokenizer

__all__ = ["ImageTokenizer", "load_tokenizer"]


def __getattr__(name: str) -> Any:
    """Opens late, so that a plan, which needs sizes only, needs no torch."""
    if name in __all__:
        from oarpipe.tokenizers import folder, protocol

        return getattr(protocol if name == "ImageTokenizer" else folder, name)
    raise AttributeError(f"module 'oarpipe.tokenizers' has no attribute '{name}'")
