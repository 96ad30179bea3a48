"""Pictures of any kind and size as square RGB arrays; views are numbered, never drawn."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from oarpipe.errors import BadInput

VIEWS = ("original", "flipped")  # a view's number is its place here


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB, turned as its EXIF says; transparency is dropped, more than 8 bits are `BadInput`."""
    if image.mode.startswith(("I", "F")):
        raise BadInput(f"pixels of type '{image.mode}', expected 8 bits a channel; convert the image")
    image = ImageOps.exif_transpose(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """ADM's crop: halve by box while the short side is at least twice `size`, bicubic, centre."""
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    return image.crop((left, top, left + size, top + size))


def enlarge(values: UInt8[np.ndarray, "h w"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    """A small gray picture, bicubic, the gray repeated in three channels."""
    gray = Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(gray)[:, :, None], 3, axis=2)


def view(images: UInt8[np.ndarray, "B H W 3"], number: int) -> UInt8[np.ndarray, "B H W 3"]:
    """The images as view `number` of VIEWS shows them."""
    return np.ascontiguousarray(images[:, :, ::-1]) if VIEWS[number] == "flipped" else images
