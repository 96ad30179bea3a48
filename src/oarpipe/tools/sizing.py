"""How large the things of a book are, before any of them exists: images, codes, tokenizers, models.

What the book does not say is looked up where it is cheap (a folder's names, a file's header) or assumed;
every assumption is a sentence in `assumed`.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from oarpipe.config.book import Book
from oarpipe.config.datasets import ClassifierConfig, DigitsConfig, FolderConfig, KeyedConfig, Split
from oarpipe.config.models import PRESETS, ImportedModelConfig, ModelConfig
from oarpipe.config.tokenizers import (
    ImportedTokenizerConfig,
    ImportedTokensConfig,
    TokensConfig,
    VQGANAnatomy,
    VQGANConfig,
)
from oarpipe.errors import BadInput
from oarpipe.metrics.flops import INCEPTION_FLOPS, INCEPTION_OUTPUTS, classifier_flops
from oarpipe.models.flops import ModelSize, ffn_width
from oarpipe.tokenizers import flops

DIGITS = {"train": 1437, "test": 360}
IMAGENET = {"train": 1_281_167, "test": 50_000}
ADM_REFERENCE = 10_000  # images in VIRTUAL_imagenet256_labeled.npz
CLASSES, PIXELS = 1000, 256  # ImageNet's, and those of the images behind published codes
_VIEWS = {"centre": 1, "adm": 2, "ten_crop": 10}
# Layers and width by what published files are named: presets, RandAR's parameters, LlamaGen's largest.
_SIZES = {name: (layers, width) for name, (layers, _, width) in PRESETS.items()}
_SIZES |= {"0.3B": _SIZES["L"], "0.7B": _SIZES["XL"], "1.4B": _SIZES["XXL"], "3B": (24, 3200)}


@dataclass(frozen=True)
class TokenizerSize:
    """`layers` from an image of some resolution to its codes, and back, as `tokenizers.flops` has them."""

    anatomy: VQGANAnatomy | None  # None: MaskGIT's
    factor: int
    codebook: int

    def encode(self, resolution: int) -> list[flops.Layer]:
        """From an image to its codes."""
        found = flops.maskgit_encoder(resolution) if self.anatomy is None else None
        return list(found or flops.encoder(self.anatomy, resolution))  # type: ignore[arg-type]

    def decode(self, resolution: int) -> list[flops.Layer]:
        """From codes to an image."""
        found = flops.maskgit_decoder(resolution) if self.anatomy is None else None
        return list(found or flops.decoder(self.anatomy, resolution))  # type: ignore[arg-type]


@dataclass(frozen=True)
class TokensSize:
    """A token store; `images` by split, `resolution` in pixels a side."""

    images: dict[str, int]
    views: int
    positions: int
    resolution: int
    codebook: int
    classes: int


class Sizing:
    """Answers for the entries of one book. `images` and `size` are what a person said of all unknown ones."""

    def __init__(self, book: Book, *, images: int | None = None, size: str | None = None) -> None:
        self.book = book
        self._images, self._size = images, size
        self.assumed: list[str] = []

    def images(self, dataset: str) -> dict[str, int]:
        """How many training and test images a dataset has."""
        entry: Any = self.book.entry("datasets", dataset)
        if isinstance(entry, DigitsConfig):
            return DIGITS
        if isinstance(entry, KeyedConfig):
            return {"train": entry.count - entry.count // 5, "test": entry.count // 5}
        total = self._total(f"datasets.{dataset}", entry)
        if getattr(entry, "test_path", None):
            self._assume(f"datasets.{dataset}: {IMAGENET['test']:,} test images, as ImageNet's has")
            return {"train": total, "test": IMAGENET["test"]}
        held_out = total // entry.test_every if entry.test_every else 0
        return {"train": total - held_out, "test": held_out}

    def count(self, dataset: str, split: Split) -> int:
        """How many images a split has."""
        found = self.images(dataset)
        return sum(found.values()) if split == "all" else found[split]

    def resolution(self, dataset: str) -> int:
        """Pixels along a side."""
        entry: Any = self.book.entry("datasets", dataset)
        return int(entry.resolution)

    def classes(self, dataset: str) -> int:
        """How many there are; only a few rows of embeddings depend on it."""
        entry: Any = self.book.entry("datasets", dataset)
        if isinstance(entry, DigitsConfig):
            return 10
        if isinstance(entry, KeyedConfig):
            return 3
        if isinstance(entry, FolderConfig) and Path(entry.path).is_dir():
            return sum(child.is_dir() for child in os.scandir(entry.path)) or CLASSES
        return CLASSES

    def tokenizer(self, name: str) -> TokenizerSize:
        """A tokenizer's network."""
        entry: Any = self.book.entry("tokenizers", name)
        if isinstance(entry, VQGANConfig):
            return TokenizerSize(entry.anatomy(), entry.factor, entry.codebook)
        assert isinstance(entry, ImportedTokenizerConfig)
        if entry.kind == "maskgit":
            return TokenizerSize(None, entry.factor, 1024)
        is_small = "1024" in (entry.weights.path or entry.weights.file or entry.weights.url or "")
        codebook = 1024 if entry.kind == "taming" and is_small else 16384
        return TokenizerSize(_published_vqgan(entry.kind, codebook), entry.factor, codebook)

    def tokens(self, name: str) -> TokensSize:
        """A token store."""
        entry: Any = self.book.entry("tokens", name)
        tokenizer = self.tokenizer(entry.tokenizer)
        if isinstance(entry, TokensConfig):
            resolution, classes = self.resolution(entry.dataset), self.classes(entry.dataset)
            images, views = self.images(entry.dataset), _VIEWS[entry.views]
        else:
            assert isinstance(entry, ImportedTokensConfig)
            resolution, classes = PIXELS, entry.classes or CLASSES
            total = entry.count or self._total(f"tokens.{name}", entry)
            held_out = total // entry.test_every if entry.test_every else 0
            images = {"train": total - held_out, "test": held_out}
            views = {"lpd": 2, "rar": entry.views}.get(entry.kind) or (10 if "ten" in entry.path else 2)
            self._assume(f"tokens.{name}: {views} views of images of {PIXELS} pixels")
        positions = (resolution // tokenizer.factor) ** 2
        return TokensSize(images, views, positions, resolution, tokenizer.codebook, classes)

    def model(self, name: str) -> tuple[ModelSize, int]:
        """A model's size, and how many classes it knows."""
        entry: Any = self.book.entry("models", name)
        tokens = self.tokens(entry.tokens)
        if isinstance(entry, ModelConfig):
            layers, heads, width = entry.size
            kind = "position_tokens"
        else:
            layers, width = self._published_size(name, entry)
            heads, kind = entry.heads or width // 64, entry.kind
        return (
            ModelSize(
                layers=layers,
                heads=heads,
                width=width,
                hidden=ffn_width(width),
                codebook=tokens.codebook,
                positions=tokens.positions,
                asks=kind != "llamagen",
            ),
            tokens.classes,
        )

    def classifier(self, entry: ClassifierConfig) -> tuple[int, int, int, int]:
        """Resolution, channels, dimensions and classes of a measuring network of our own."""
        resolution, classes = self.resolution(entry.dataset), self.classes(entry.dataset)
        return resolution, entry.channels, entry.dimensions, classes

    def measuring(self, features: str) -> tuple[int, int]:
        """What measuring an image costs, in FLOP, and how many numbers it gives."""
        entry: Any = self.book.entry("features", features)
        if isinstance(entry, ClassifierConfig):
            sizes = self.classifier(entry)
            return classifier_flops(*sizes), entry.dimensions + sizes[-1]
        return INCEPTION_FLOPS, INCEPTION_OUTPUTS

    def origin(self, samples: str) -> tuple[str, str]:
        """The tokenizer and the tokens behind a sample set."""
        config: Any = self.book.entry("samples", samples)
        model: Any = self.book.entry("models", config.model)
        return self.book.tokenizer_of(samples), model.tokens

    def _published_size(self, name: str, entry: ImportedModelConfig) -> tuple[int, int]:
        """Layers and width, from the file if it is here, else from its name, else from `--size`."""
        file = entry.weights.path or entry.weights.file or entry.weights.url or ""
        if file.endswith(".safetensors") and Path(file).is_file():
            return _size_in_header(Path(file))
        words = [word.upper() for word in re.split(r"[_-]", Path(file).stem)]
        told = next((word for word in words if word in _SIZES), None)
        name_of_size = told or self._size
        if name_of_size is None:
            raise BadInput(
                f"models.{name}: neither the book nor the name of {file} says how large it is; give --size"
            )
        self._assume(
            f"models.{name}: size {name_of_size}, as {'its file is named' if told else '--size says'}"
        )
        return _SIZES[name_of_size]

    def _total(self, what: str, entry: Any) -> int:
        """How many images a dataset or a set of published codes has, test images of another place apart."""
        if self._images is not None:
            return self._images
        if isinstance(entry, FolderConfig) and Path(entry.path).is_dir():
            return sum(len(files) for _, _, files in os.walk(entry.path))
        name = Path(entry.path).name
        assumed = ADM_REFERENCE if "VIRTUAL" in name else IMAGENET["test" if "val" in name else "train"]
        self._assume(f"{what}: {assumed:,} images, as ImageNet's has; --images says otherwise")
        return assumed

    def _assume(self, sentence: str) -> None:
        if sentence not in self.assumed:
            self.assumed.append(sentence)


def _published_vqgan(kind: str, codebook: int) -> VQGANAnatomy:
    """LlamaGen's VQ-16, or taming's VQGAN of factor 16."""
    return VQGANAnatomy(
        kind="vqgan",
        stem="strided",
        factor=16,
        width=128,
        multipliers=[1, 1, 2, 2, 4],
        blocks=2,
        attention=True,
        code_dim=8 if kind == "llamagen" else 256,
        codebook=codebook,
        normalise=kind == "llamagen",
    )


def _size_in_header(file: Path) -> tuple[int, int]:
    """Layers and width by the names and shapes of a file's tensors."""
    try:
        with safe_open(file, framework="np") as tensors:
            names: list[str] = tensors.keys()
            layers = {name.split(".")[1] for name in names if name.startswith("layers.")}
            return len(layers), int(tensors.get_slice("tok_embeddings.weight").get_shape()[1])
    except SafetensorError as error:
        raise BadInput(f"{file}: cannot be read ({error}); fetch it again") from error
