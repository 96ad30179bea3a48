"""Images of every mode, orientation and state of decay become 8-bit RGB, or a reason."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from oarpipe.data import pictures
from oarpipe.data.pictures import decode
from oarpipe.errors import BadInput


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def pixels(content: bytes) -> list[list[int]]:
    picture = decode(content)
    assert picture.mode == "RGB"
    return np.asarray(picture).reshape(-1, 3).tolist()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_photograph_is_turned_upright(turn: int) -> None:
    upright = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    stored = {  # how a camera held in each way writes the same scene
        **{1: upright, 2: np.fliplr(upright), 3: np.rot90(upright, 2), 4: np.flipud(upright)},
        **{5: upright.T, 6: np.rot90(upright), 7: np.rot90(upright, 2).T, 8: np.rot90(upright, -1)},
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = decode(encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif))
    np.testing.assert_array_equal(np.asarray(picture)[..., 0], upright)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_exif_that_cannot_be_read_turns_nothing() -> None:
    content = encoded(
        Image.new("RGB", (4, 2), (9, 9, 9)), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x01\xff"
    )
    assert decode(content).size == (4, 2)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_gray_becomes_three_equal_channels(mode: str) -> None:
    assert pixels(encoded(Image.new(mode, (2, 1), 255))) == [[255, 255, 255]] * 2


def test_a_palette_is_looked_up() -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert pixels(encoded(image)) == [[10, 20, 30]] * 2


def test_a_palettes_transparent_entry_is_laid_on_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([1, 2, 3, 10, 20, 30])
    assert pixels(encoded(image, transparency=bytes([0, 255]))) == [[255, 255, 255], [10, 20, 30]]


def test_transparency_is_laid_on_white_in_proportion() -> None:
    image = Image.fromarray(np.array([[[0, 100, 200, 0], [0, 100, 200, 255], [0, 0, 0, 51]]], np.uint8))
    assert pixels(encoded(image)) == [[255, 255, 255], [0, 100, 200], [204, 204, 204]]


def test_gray_with_transparency_is_laid_on_white() -> None:
    assert pixels(encoded(Image.new("LA", (1, 1), (0, 0)))) == [[255, 255, 255]]


def test_cmyk_becomes_rgb() -> None:
    (red, green, blue), *_ = pixels(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_are_kept(form: str) -> None:
    values = np.array([[0, 255, 256, 32767, 32768, 65279, 65280, 65535]], np.uint16)
    got = pixels(encoded(Image.fromarray(values), form))
    assert got == [[v >> 8] * 3 for v in values[0].tolist()]


def test_colours_of_sixteen_bits_are_shortened_alike() -> None:
    row = b"\x00" + struct.pack(">3H", 255, 256, 65535)
    content = png_header(1, 1, depth=16) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert pixels(content) == [[0, 1, 255]]


def test_pixels_beyond_sixteen_bits_and_fractions_are_refused() -> None:
    with pytest.raises(BadInput, match="from -5 to 70000, expected 8 or 16 bits"):
        decode(encoded(Image.fromarray(np.array([[-5, 70000]], np.int32)), "TIFF"))
    with pytest.raises(BadInput, match="fractions"):
        decode(encoded(Image.fromarray(np.array([[0.5]], np.float32)), "TIFF"))


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_a_decompression_bomb_is_refused_before_it_goes_off(side: int) -> None:
    content = png_header(side, side) + chunk(b"IDAT", zlib.compress(b"\x00" * 100)) + chunk(b"IEND", b"")
    with pytest.raises(BadInput, match="refused as a decompression bomb"):
        decode(content)


def test_a_strip_whose_crop_would_burst_is_refused() -> None:
    with pytest.raises(BadInput, match="2x500 pixels, one side more than 100 times the other"):
        decode(encoded(Image.new("L", (2, 500))))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_file_cut_anywhere_is_refused_or_whole(form: str) -> None:
    content = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)), form)
    for end in range(0, len(content), max(1, len(content) // 40)):
        try:
            assert decode(content[:end]).size == (30, 20)
        except BadInput as error:
            assert "not a readable image" in str(error)  # noqa: PT017


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0", bytes(1000), POSTSCRIPT])
def test_what_is_no_image_is_told(content: bytes) -> None:
    with pytest.raises(BadInput, match="not a readable image"):
        decode(content)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_spoilt_bytes_never_raise_anything_else() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8))
    for form in ("PNG", "JPEG", "GIF", "TIFF", "WEBP"):
        whole = np.frombuffer(encoded(image, form), np.uint8)
        for _ in range(40):
            spoilt = whole.copy()
            spoilt[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
            with contextlib.suppress(BadInput):
                decode(spoilt.tobytes())


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    assert pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))[0] == [255, 0, 0]


def test_the_limit_is_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS == pictures.MAX_PIXELS
