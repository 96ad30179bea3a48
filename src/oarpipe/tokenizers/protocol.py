"""What every tokenizer can do: images to a grid of codes, and codes back to images."""

from abc import ABC, abstractmethod

from jaxtyping import Int, UInt8
from torch import Tensor, nn

from oarpipe.base.grid import Grid
from oarpipe.errors import BadInput


class ImageTokenizer(nn.Module, ABC):
    """Square RGB images to raster tokens and back.

        tokens = tokenizer.encode(images)
        images = tokenizer.decode(tokens, tokenizer.grid(images.shape[-1]))

    Both run without gradients, on the device that the tokenizer lies on; an image's tokens do not
    depend on the other images of its batch.
    """

    codebook: int

    @abstractmethod
    def grid(self, resolution: int) -> Grid:
        """The token grid of images with this side, in pixels; `BadInput` if they do not divide."""

    @abstractmethod
    def encode(self, images: UInt8[Tensor, "B 3 H W"]) -> Int[Tensor, "B N"]:
        """The codes of each image, int64, in raster order."""

    @abstractmethod
    def decode(self, tokens: Int[Tensor, "B N"], grid: Grid) -> UInt8[Tensor, "B 3 H W"]:
        """The images that the codes stand for."""


def square_grid(resolution: int, factor: int) -> Grid:
    """The grid of square images where a token covers `factor` pixels along each side."""
    side, rest = divmod(resolution, factor)
    if rest or not side:
        raise BadInput(
            f"images of {resolution} pixels: expected a multiple of {factor}, the tokenizer's `factor`; "
            "change it or the dataset's `resolution`"
        )
    return Grid(side, side)
