"""The files that hold a dataset's decoded pixels and thumbnails, whole or not there at all."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from selfml.data.dataset import Dataset
from selfml.data.decoding import (
    THUMBNAIL_PX,
    WEBP_QUALITY,
    decode_upright,
    encode_webp,
    for_each_image,
    square,
)
from selfml.data.messages import DatasetError, UnreadableImage

MAX_UNREADABLE_FRACTION = 0.05


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


def is_usable(cache: Path, key: dict) -> bool:
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


def fill_cache(
    dataset: Dataset,
    size_px: int,
    folder: Path,
    thumbnails: bool,
    progress: Callable[[int, int], None] | None,
    n_workers: int,
) -> None:
    """Write pixels.npy, bounds.npy, thumbnails.bin and unreadable.json into ``folder``."""

    def work(data: bytes) -> tuple[np.ndarray, bytes]:
        image = decode_upright(data, size_px)
        webp = encode_webp(image, THUMBNAIL_PX, WEBP_QUALITY) if thumbnails else b""
        return square(image, size_px), webp

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
    _write_unreadable(folder, dataset, unreadable)


def _write_unreadable(folder: Path, dataset: Dataset, unreadable: dict[int, str]) -> None:
    listed = [[i, str(dataset.file_names[i]), unreadable[i]] for i in sorted(unreadable)]
    (folder / "unreadable.json").write_text(json.dumps(listed), encoding="utf-8")


def publish_cache(folder: Path, cache: Path, key: dict, thumbnails: bool) -> None:
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


def open_cache(cache: Path, n_images: int, thumbnails: bool) -> LoadedImages:
    """Map a finished cache into memory."""
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
