"""Decode catalogue photos into square pixels and thumbnails; cache a whole dataset's.

Every choice here is ours. JPEG, PNG and WebP are read, by content and not by suffix. The first
frame is taken, EXIF orientation applied, transparency composited on white, CMYK, greyscale and
16-bit reduced to 8-bit RGB (colour profiles are not applied). A photo keeps its aspect ratio and
is padded with white to a square, since catalogue photos stand on white: stretching would turn a
dress into a shirt.

Files are untrusted: the declared size is checked before a pixel is decoded, and whatever a decoder
raises becomes `UnreadableImage`.
"""

import io
import json
import os
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from selfml.data.dataset import Dataset, DatasetError, UnreadableImage

__all__ = [
    "MAX_PIXELS",
    "ImageFacts",
    "LoadedImages",
    "Thumbnails",
    "UnreadableImage",
    "decode_image",
    "encode_thumbnail",
    "load_images",
    "probe_image",
]

MAX_PIXELS = 100_000_000  # our choice: 300 MB once decoded; no catalogue photo comes near
MAX_UNREADABLE_FRACTION = 0.05
THUMBNAIL_PX = 160
WEBP_QUALITY = 80
_FORMAT_VERSION = 1  # raise when the pixels made from the same bytes change
_ORIENTATION_TAG = 0x0112
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


@dataclass(frozen=True, eq=False)
class Thumbnails(Sequence):
    """WebP thumbnails in one file: item i is the bytes of ``data[bounds[i, 0]:bounds[i, 1]]``."""

    data: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds)

    def __getitem__(self, i: int) -> bytes:
        start, stop = self.bounds[i]
        return self.data[start:stop].tobytes()


@dataclass(frozen=True, eq=False)
class LoadedImages:
    """A dataset's pixels, decoded once.

    Attributes
    ----------
    pixels : numpy.memmap
        (M, size, size, 3) uint8 RGB, read-only; row m is the image of dataset row ``indices[m]``.
    indices : numpy.ndarray
        (M,) int64, increasing: the dataset rows whose image is readable.
    thumbnails : Thumbnails or None
        M WebP images as bytes, at most 160 px; None where they were not asked for.
    unreadable : tuple of (str, str)
        (file name, reason) of the N - M others.
    """

    pixels: np.memmap
    indices: np.ndarray
    thumbnails: Thumbnails | None
    unreadable: tuple[tuple[str, str], ...]


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
    with _quiet_pillow():
        return _square(_decode(data, size_px), size_px)


def encode_thumbnail(data: bytes, max_px: int = THUMBNAIL_PX, quality: int = WEBP_QUALITY) -> bytes:
    """Return a WebP whose longer side is at most ``max_px``; smaller images are not enlarged.

    Raises
    ------
    UnreadableImage
        As `decode_image`.
    """
    with _quiet_pillow():
        return _encode_webp(_decode(data, max_px), max_px, quality)


def probe_image(data: bytes) -> ImageFacts:
    """Decode an image to its end, at the least cost, and return its format and stored size.

    Raises
    ------
    UnreadableImage
        As `decode_image`; what passes here decodes there.
    """
    with _quiet_pillow():
        return _probe(data)


def load_images(
    dataset: Dataset,
    size_px: int,
    cache: Path,
    *,
    thumbnails: bool = True,
    progress: Callable[[int, int], None] | None = None,
    n_workers: int = 2,
) -> LoadedImages:
    """Decode every image once, into a memory-mapped ``.npy`` file and one file of thumbnails.

    The files beside ``cache`` share its stem: ``.json`` (the key and what was unreadable),
    ``.thumbnails.bin`` and ``.bounds.npy``. They are reused when the key (the dataset's SHA-256,
    the size, thumbnails) matches. Each is written under a temporary name and renamed, the
    key last, so an interrupted call leaves nothing that would be taken for whole.

    Parameters
    ----------
    dataset : Dataset
    size_px : int
        Side of the square pixels, see `decode_image`.
    cache : Path
        Where to write, ending in ``.npy``; its folder is made.
    thumbnails : bool
        Also make the thumbnails, from the same decode.
    progress : callable, optional
        Called as ``progress(n_done, n_images)`` from the calling thread.
    n_workers : int
        Decoding threads (Pillow releases the interpreter's lock while it decodes).

    Raises
    ------
    DatasetError
        More than 5 % of the images are unreadable.
    """
    cache = Path(cache)
    if cache.suffix != ".npy":
        raise ValueError(f"cache: {cache.name!r} does not end in .npy. Give a path that does.")
    if size_px < 1:
        raise ValueError(f"size_px: {size_px} is not a positive number of pixels. Give e.g. 128.")
    key = {
        "version": _FORMAT_VERSION,
        "dataset_sha256": dataset.sha256(),
        "size_px": size_px,
        "thumbnails": thumbnails,
    }
    if not _is_usable(cache, key):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=f".{cache.stem}-") as folder:
            _fill(dataset, size_px, Path(folder), thumbnails, progress, n_workers)
            _publish(Path(folder), cache, key, thumbnails)
    return _open_cache(cache, dataset.n_images, thumbnails)


def for_each_image(
    dataset: Dataset,
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
    with _quiet_pillow(), ThreadPoolExecutor(max(1, n_workers)) as pool:
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


def _fill(dataset, size_px, folder, thumbnails, progress, n_workers) -> None:
    """Write pixels.npy, bounds.npy, thumbnails.bin and unreadable.json into ``folder``."""

    def work(data: bytes) -> tuple[np.ndarray, bytes]:
        image = _decode(data, size_px)
        webp = _encode_webp(image, THUMBNAIL_PX, WEBP_QUALITY) if thumbnails else b""
        return _square(image, size_px), webp

    n = dataset.n_images
    shape = (n, size_px, size_px, 3)
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "w+", np.uint8, shape)
    bounds = np.zeros((n, 2), np.int64)
    unreadable: dict[int, str] = {}
    n_done = 0

    with open(folder / "thumbnails.bin", "wb") as file:

        def keep(index: int, result: object) -> None:
            nonlocal n_done
            if isinstance(result, UnreadableImage):
                unreadable[index] = str(result)
                _stop_if_too_many(dataset, unreadable)
            else:
                pixels[index], webp = result
                bounds[index] = file.tell(), file.tell() + len(webp)
                file.write(webp)
            n_done += 1
            if progress is not None:
                progress(n_done, n)

        for_each_image(dataset, work, keep, n_workers)
    readable = np.setdiff1d(np.arange(n), list(unreadable))
    _shorten(folder / "pixels.npy", pixels, readable)
    np.save(folder / "bounds.npy", bounds[readable])
    listed = [[i, str(dataset.file_names[i]), unreadable[i]] for i in sorted(unreadable)]
    (folder / "unreadable.json").write_text(json.dumps(listed), encoding="utf-8")


def _stop_if_too_many(dataset: Dataset, unreadable: dict[int, str]) -> None:
    if len(unreadable) <= MAX_UNREADABLE_FRACTION * dataset.n_images:
        return
    first = "; ".join(f"{dataset.file_names[i]!r}: {unreadable[i]}" for i in sorted(unreadable)[:3])
    raise DatasetError(
        f"{dataset.labels_file.name}: at least {len(unreadable)} of {dataset.n_images} images are "
        f"unreadable, the limit is {MAX_UNREADABLE_FRACTION:.0%} ({first}). Run `selfml check` to "
        "list them, then replace them or remove their rows."
    )


def _shorten(path: Path, pixels: np.memmap, readable: np.ndarray) -> None:
    """Close the gaps that unreadable images left and cut the file to the M readable rows."""
    size_px, m = pixels.shape[1], len(readable)
    if m < len(pixels):
        for start in range(0, m, 256):  # sources lie at or after their targets, so in place
            pixels[start : start + 256][: m - start] = pixels[readable[start : start + 256]]
    pixels.flush()
    if m == len(pixels):
        return
    with open(path, "r+b") as file:
        shape = (m, size_px, size_px, 3)
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        if file.tell() != pixels.offset:
            raise RuntimeError("the .npy header changed its length; NumPy pads it against this")
        file.truncate(file.tell() + m * size_px * size_px * 3)


def _side(cache: Path, suffix: str) -> Path:
    return cache.with_name(cache.stem + suffix)


def _publish(folder: Path, cache: Path, key: dict, thumbnails: bool) -> None:
    """Move the finished files to their places; the key goes first out and last in."""
    _side(cache, ".json").unlink(missing_ok=True)
    os.replace(folder / "pixels.npy", cache)
    if thumbnails:
        os.replace(folder / "thumbnails.bin", _side(cache, ".thumbnails.bin"))
        os.replace(folder / "bounds.npy", _side(cache, ".bounds.npy"))
    unreadable = json.loads((folder / "unreadable.json").read_text(encoding="utf-8"))
    text = json.dumps({"key": key, "unreadable": unreadable})
    (folder / "key.json").write_text(text, encoding="utf-8")
    os.replace(folder / "key.json", _side(cache, ".json"))


def _is_usable(cache: Path, key: dict) -> bool:
    """Whether a finished cache holds what ``key`` asks for (thumbnails too many do no harm)."""
    try:
        stored = json.loads(_side(cache, ".json").read_text(encoding="utf-8"))["key"]
        has_thumbnails = stored["thumbnails"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    files = [cache]
    if key["thumbnails"]:
        files += [_side(cache, ".thumbnails.bin"), _side(cache, ".bounds.npy")]
    wanted = key | {"thumbnails": key["thumbnails"] or has_thumbnails}
    return stored == wanted and all(file.exists() for file in files)


def _open_cache(cache: Path, n_images: int, thumbnails: bool) -> LoadedImages:
    sidecar = json.loads(_side(cache, ".json").read_text(encoding="utf-8"))
    listed = sidecar["unreadable"]
    indices = np.setdiff1d(np.arange(n_images, dtype=np.int64), [i for i, _, _ in listed])
    strip = None
    if thumbnails:
        path = _side(cache, ".thumbnails.bin")
        strip = Thumbnails(
            np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8),
            np.load(_side(cache, ".bounds.npy")),
        )
    unreadable = tuple((name, reason) for _, name, reason in listed)
    return LoadedImages(np.load(cache, mmap_mode="r"), indices, strip, unreadable)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
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


def _decode(data: bytes, size_px: int) -> Image.Image:
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


def _square(image: Image.Image, size_px: int) -> np.ndarray:
    width, height = _fit(image, size_px)
    small = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = np.full((size_px, size_px, 3), 255, np.uint8)
    top, left = (size_px - height) // 2, (size_px - width) // 2
    out[top : top + height, left : left + width] = np.asarray(small)
    return out


def _encode_webp(image: Image.Image, max_px: int, quality: int) -> bytes:
    if max(image.size) > max_px:
        image = image.resize(_fit(image, max_px), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()
