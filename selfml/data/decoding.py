"""Decode one catalogue photo into square pixels and a thumbnail.

Every choice here is ours. JPEG, PNG and WebP are read, by content and not by suffix. The first
frame is taken, EXIF orientation applied, transparency composited on white, CMYK, greyscale and
16-bit reduced to 8-bit RGB (colour profiles are not applied). A photo keeps its aspect ratio and
is padded with white to a square, since catalogue photos stand on white: stretching would turn a
dress into a shirt.

Files are untrusted: the declared size is checked before a pixel is decoded, and whatever a decoder
raises becomes `UnreadableImage`.
"""

import io
import re
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from selfml.data.messages import UnreadableImage

if TYPE_CHECKING:  # it imports pandas, which processes that only decode need not
    from selfml.data.dataset import Dataset

MAX_PIXELS = 100_000_000  # our choice: 300 MB once decoded; no catalogue photo comes near
THUMBNAIL_PX = 160
WEBP_QUALITY = JPEG_QUALITY = 80
PIXELS_VERSION = 1  # raise when the pixels made from the same bytes change
_ORIENTATION_TAG = 0x0112
_MORE_THAN_PIXELS = re.compile(rb"\xff[\xe1-\xef\xfe]")  # markers of JPEG: APP1 to APP15, comment
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class ImageFacts:
    """What an image's file says and decodes to: format, width and height in pixels as stored."""

    format: str
    width_px: int
    height_px: int


def decode_image(data: bytes, size_px: int) -> np.ndarray:
    """Return an encoded image as a square, padded with white.

    Parameters
    ----------
    data : bytes
        JPEG, PNG or WebP.
    size_px : int
        Side of the square in pixels.

    Returns
    -------
    numpy.ndarray
        (size_px, size_px, 3) uint8 RGB.

    Raises
    ------
    UnreadableImage
        Another format, corrupt, truncated, or over `MAX_PIXELS` pixels (then never decoded).
    """
    with quiet_pillow():
        return square(decode_upright(data, size_px), size_px)


def encode_thumbnail(data: bytes, max_px: int = THUMBNAIL_PX, quality: int = WEBP_QUALITY) -> bytes:
    """Return a WebP whose longer side is at most ``max_px``; smaller images are not enlarged.

    Raises
    ------
    UnreadableImage
        As `decode_image`.
    """
    with quiet_pillow():
        return encode_webp(decode_upright(data, max_px), max_px, quality)


def probe_image(data: bytes) -> ImageFacts:
    """Decode an image to its end, at the least cost, and return its format and stored size.

    Raises
    ------
    UnreadableImage
        As `decode_image`; what passes here decodes there.
    """
    with quiet_pillow():
        return _probe(data)


def for_each_image(
    dataset: "Dataset",
    work: Callable[[bytes], object],
    consume: Callable[[int, object], None],
    n_workers: int,
) -> None:
    """Call ``consume(row, work(bytes) or the UnreadableImage)`` for all rows, as they are stored.

    ``work`` runs in threads, a bounded number of images ahead of ``consume`` (which the calling
    thread runs), so memory stays bounded whatever the size of the dataset.
    """

    def attempt(fetch: Callable[[], bytes]) -> object:
        try:
            return work(fetch())
        except UnreadableImage as error:
            return error

    waiting: deque[tuple[int, Future]] = deque()
    with quiet_pillow(), ThreadPoolExecutor(max(1, n_workers)) as pool:
        try:
            for index, fetch in dataset.iter_image_bytes():
                waiting.append((index, pool.submit(attempt, fetch)))
                if len(waiting) >= 8 * max(1, n_workers):
                    index, future = waiting.popleft()
                    consume(index, future.result())
            while waiting:
                index, future = waiting.popleft()
                consume(index, future.result())
        finally:
            for _, future in waiting:
                future.cancel()


def decode_upright(data: bytes, size_px: int) -> Image.Image:
    """Return the upright RGB image, a JPEG reduced while decoding to no less than is needed.

    The reduction depends on ``size_px`` alone, thumbnails or not, so that `decode_image` and
    `load_images` give the same pixels.
    """
    with _any_failure_is_unreadable():
        image = _open(data)
        enough_px = 2 * max(size_px, THUMBNAIL_PX)
        longer_px = max(image.size)
        wanted = [max(1, side_px * enough_px // longer_px) for side_px in image.size]
        image.draft(None, tuple(wanted))
        image.load()
        turn = _TURNS.get(_orientation(image))
        image = _to_rgb(image)
        return image if turn is None else image.transpose(turn)


def square(image: Image.Image, size_px: int) -> np.ndarray:
    """Return the (size_px, size_px, 3) uint8 pixels, the aspect ratio kept by white padding."""
    width, height = _fit(image, size_px)
    small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = np.full((size_px, size_px, 3), 255, np.uint8)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    out[top : top + height, left : left + width] = np.asarray(small)
    return out


def encode_webp(image: Image.Image, max_px: int, quality: int) -> bytes:
    """Return the WebP bytes, the longer side at most ``max_px``."""
    if max(image.size) > max_px:
        image = image.resize(_fit(image, max_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def encode_jpeg(image: Image.Image, max_px: int, quality: int) -> bytes:
    """The same as JPEG bytes: half as many again as of WebP, in a tenth of the time or less."""
    if max(image.size) > max_px:
        image = image.resize(_fit(image, max_px), Image.Resampling.HAMMING, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality, comment=b"")  # Pillow would copy the photo's
    return out.getvalue()


def is_thumbnail(data: bytes, image: Image.Image, max_px: int) -> bool:
    """Whether a file, decoded to ``image``, is a small JPEG of pixels and nothing else.

    Markers do not occur within a JPEG's pixels. One with EXIF (it may be turned, or say where it
    was taken), a colour profile, other inks or a comment is not passed on.
    """
    if max(image.size) > max_px or len(data) > 4 * max_px**2 or data[:3] != b"\xff\xd8\xff":
        return False
    return _MORE_THAN_PIXELS.search(data) is None


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings (corrupt EXIF and the like) from the reader of the terminal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _open(data: bytes) -> Image.Image:
    """Read the header. The classes are used directly since `Image.open` warns of large images."""
    if data[:3] == b"\xff\xd8\xff":
        kind = JpegImagePlugin.JpegImageFile
    elif data[:8] == b"\x89PNG\r\n\x1a\n":
        kind = PngImagePlugin.PngImageFile
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = WebPImagePlugin.WebPImageFile
    else:
        raise UnreadableImage("not a JPEG, PNG or WebP image")
    image = kind(io.BytesIO(data))
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"{width} x {height} pixels; the limit is {MAX_PIXELS} pixels")
    return image


@contextmanager
def _any_failure_is_unreadable() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into one line."""
    try:
        yield
    except UnreadableImage:
        raise
    except Exception as error:
        reason = "".join(c for c in str(error) if c.isprintable())[:120] or type(error).__name__
        raise UnreadableImage(f"corrupt or truncated: {reason}") from None


def _probe(data: bytes) -> ImageFacts:
    with _any_failure_is_unreadable():
        image = _open(data)
        facts = ImageFacts(image.format, *image.size)
        image.draft(None, (1, 1))
        image.load()
        return facts


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or it cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # hostile EXIF must not cost the photo
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit greyscale: scaled, where Pillow would clip
        grey = np.clip(np.asarray(image), 0, 65535) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _fit(image: Image.Image, side_px: int) -> tuple[int, int]:
    """Return the size at which the longer side is ``side_px`` and the aspect ratio is kept."""
    scale = side_px / max(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))
