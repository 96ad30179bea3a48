"""Tokenizers: images to a grid of codes and back, and the folders they are kept in."""

from oarpipe.tokenizers.folder import load_tokenizer
from oarpipe.tokenizers.protocol import ImageTokenizer

__all__ = ["ImageTokenizer", "load_tokenizer"]
