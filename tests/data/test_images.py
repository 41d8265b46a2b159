"""Decoding: what pixels come out, and what is refused."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from selfml.data import decoding
from selfml.data.images import (
    ImageFacts,
    UnreadableImage,
    decode_image,
    encode_thumbnail,
    probe_image,
)
from tests.data import photo

WHITE = [255, 255, 255]


def encoded(image: Image.Image, kind: str = "PNG", **save) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **save)
    return out.getvalue()


def png_header(width_px: int, height_px: int) -> bytes:
    """A PNG that declares a size and has next to no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def halves(width_px: int, height_px: int) -> Image.Image:
    """Red in the upper half, blue in the lower."""
    image = Image.new("RGB", (width_px, height_px), (255, 0, 0))
    image.paste((0, 0, 255), (0, height_px // 2, width_px, height_px))
    return image


# One image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_formats_by_content(kind):
    data = photo(32, 32, (200, 30, 90), kind)
    pixels = decode_image(data, 16)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - [200, 30, 90]).max() <= 6
    assert probe_image(data) == ImageFacts(kind, 32, 32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40))
def test_aspect_is_kept_and_the_rest_is_white(width_px, height_px, size_px):
    pixels = decode_image(photo(width_px, height_px, (10, 20, 30)), size_px)
    inside = (pixels == [10, 20, 30]).all(axis=2)
    assert (pixels[~inside] == 255).all()
    rows, columns = inside.any(axis=1).sum(), inside.any(axis=0).sum()
    scale = size_px / max(width_px, height_px)
    assert rows == max(1, round(height_px * scale))
    assert columns == max(1, round(width_px * scale))
    assert inside.sum() == rows * columns
    top = int(np.flatnonzero(inside.any(axis=1))[0])
    assert abs(2 * top + rows - size_px) <= 1


def test_a_large_jpeg_is_the_same_reduced_while_decoding():
    """Draft decoding differs from a plain resize by rounding only."""
    gradient = np.linspace(0, 255, 1600 * 1200, dtype=np.uint8).reshape(1200, 1600)
    image = Image.fromarray(gradient).convert("RGB")
    pixels = decode_image(encoded(image, "JPEG", quality=95), 64)
    plain = decode_image(encoded(image), 64)
    assert np.abs(pixels.astype(int) - plain).mean() < 1.5
    assert pixels[0, 0].tolist() == WHITE


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind):
    """The stored pixels are turned back, so that red is up whatever the camera noted."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what the camera did, as Transpose
    image = halves(40, 24)
    stored = image if orientation == 1 else image.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, kind, exif=exif)
    pixels = decode_image(data, 40).astype(int)
    assert np.abs(pixels[12, 20] - [255, 0, 0]).max() < 30
    assert np.abs(pixels[28, 20] - [0, 0, 255]).max() < 30
    assert pixels[0, 20].tolist() == WHITE
    thumbnail = Image.open(io.BytesIO(encode_thumbnail(data, 20)))
    assert thumbnail.size == (20, 12)
    assert 0x0112 not in thumbnail.getexif()


def test_transparency_is_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    grey = Image.new("LA", (8, 8), (0, 0))
    palette = Image.new("P", (8, 8), 3)
    palette.putpalette([9] * 768)
    for data in (
        encoded(clear),
        encoded(clear, "WEBP", lossless=True),
        encoded(grey),
        encoded(palette, transparency=3),
        encoded(Image.new("RGB", (8, 8), (1, 2, 3)), transparency=(1, 2, 3)),
        encoded(Image.new("L", (8, 8), 7), transparency=7),
    ):
        assert (decode_image(data, 8) == 255).all()
    assert np.abs(decode_image(encoded(half), 8).astype(int) - 127).max() <= 1


def test_modes_become_rgb():
    deep = Image.fromarray(np.full((8, 8), 200 * 257, np.uint16))
    assert decode_image(encoded(deep), 8).tolist() == np.full((8, 8, 3), 200).tolist()
    assert (decode_image(encoded(Image.new("L", (8, 8), 77)), 8) == 77).all()
    assert (decode_image(encoded(Image.new("1", (8, 8), 1)), 8) == 255).all()
    cmyk = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    assert np.abs(decode_image(cmyk, 8).astype(int) - [255, 0, 0]).max() < 10


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_give_their_first_frame(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert np.abs(decode_image(data, 8).astype(int) - [250, 0, 0]).max() < 8


@pytest.mark.parametrize("read", [lambda d: decode_image(d, 8), encode_thumbnail, probe_image])
def test_unreadable_images(read):
    jpeg, png, webp = (photo(64, 64, kind=kind) for kind in ("JPEG", "PNG", "WEBP"))
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    noisy = encoded(Image.fromarray(noise), "JPEG")
    for data, reason in (
        (b"", "not a JPEG, PNG or WebP"),
        (b"hello", "not a JPEG, PNG or WebP"),
        (encoded(Image.new("RGB", (4, 4)), "GIF"), "not a JPEG, PNG or WebP"),
        (encoded(Image.new("RGB", (4, 4)), "TIFF"), "not a JPEG, PNG or WebP"),
        (noisy[: len(noisy) // 2], "corrupt or truncated"),
        (jpeg[:30], "corrupt or truncated"),
        (png[: len(png) // 2], "corrupt or truncated"),
        (webp[:-20], "corrupt or truncated"),
        (png_header(20, 20), "corrupt or truncated"),
    ):
        with pytest.raises(UnreadableImage, match=reason) as caught:
            read(data)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("width_px", "height_px"), [(10_001, 10_000), (60_000, 60_000)])
def test_a_decompression_bomb_is_never_decoded(width_px, height_px, monkeypatch):
    """Neither Pillow's warning nor its decoder is reached."""
    monkeypatch.setattr(
        decoding.PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnreadableImage, match=f"{width_px} x {height_px} pixels; the limit"):
            decode_image(png_header(width_px, height_px), 8)


def test_hostile_exif_costs_neither_photo_nor_warning(recwarn):
    warnings.simplefilter("error")
    for body in (
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*" + b"\x7f" * 60,
    ):
        data = photo(16, 16, (10, 200, 10), "JPEG", exif=body)
        assert np.abs(decode_image(data, 8).astype(int) - [10, 200, 10]).max() < 8


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.data())
def test_damaged_bytes_decode_or_are_unreadable(kind, data):
    """No other exception, and no warning, whatever bytes are changed."""
    body = bytearray(photo(24, 16, (10, 100, 200), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decode_image(bytes(body), 8).shape == (8, 8, 3)
        reason = ""
    except UnreadableImage as error:
        reason = str(error)
    assert reason.isprintable()


def test_thumbnails_shrink_and_never_enlarge():
    for (width_px, height_px), expected in (
        ((400, 200), (160, 80)),
        ((60, 80), (60, 80)),
        ((1000, 2), (160, 1)),
    ):
        data = encode_thumbnail(photo(width_px, height_px))
        with Image.open(io.BytesIO(data)) as image:
            assert (image.format, image.size) == ("WEBP", expected)
    assert Image.open(io.BytesIO(encode_thumbnail(photo(99, 99), max_px=10))).size == (10, 10)
