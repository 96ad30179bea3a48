"""Encoded images of any format, mode and orientation as 8-bit RGB."""

import io
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from oarpipe.errors import BadInput

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # no others: some of Pillow's run programs
MAX_PIXELS = 89_478_485  # Pillow's own limit, beyond which it suspects a decompression bomb
MAX_ASPECT = 100  # a side this many times the other would make a crop's enlargement burst
BACKGROUND = (255, 255, 255)  # behind transparency

# What Pillow raises for files that are no images or are cut short.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, struct.error)
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def decode(content: bytes) -> Image.Image:
    """The picture, turned upright; `BadInput` gives the reason why there is none.

    The first frame of an animation. Transparency is laid on white; of 16 bits a channel the upper 8 are
    kept; CMYK is converted without a colour profile, as Pillow does.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(image)
            return to_rgb(image)
    except _BOMBS as error:
        raise BadInput(f"refused as a decompression bomb ({error})") from error
    except UnidentifiedImageError as error:
        raise BadInput("not a readable image (of no known format)") from error
    except BadInput:
        raise
    except _UNREADABLE as error:
        raise BadInput(f"not a readable image ({error})") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB, turned as its EXIF says; `BadInput` for pixels that have no given range."""
    _turn_upright(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _upper_eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, BACKGROUND)
        page.paste(image, mask=image.getchannel("A"))
        return page
    return image.convert("RGB")


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise BadInput(f"refused as a decompression bomb ({width}x{height} pixels, at most {MAX_PIXELS})")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise BadInput(f"{width}x{height} pixels, one side more than {MAX_ASPECT} times the other")


def _upper_eight_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits, or of 32 that use only 16, as Pillow itself shortens colours of 16."""
    if image.mode == "F":
        raise BadInput("pixels are fractions, of which no range is known; convert them to 8 or 16 bits")
    values = np.asarray(image.convert("I"))
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > 65535:
        raise BadInput(f"pixels from {lowest} to {highest}, expected 8 or 16 bits a channel; convert them")
    return Image.fromarray((values >> 8).astype(np.uint8))


def _turn_upright(image: Image.Image) -> None:
    """As its EXIF says; EXIF that cannot be read says nothing."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except (*_UNREADABLE, KeyError, TypeError, ZeroDivisionError):
        image.load()  # if the picture itself is broken, this raises again
