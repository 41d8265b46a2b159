"""Decode a dataset's images once, into a memory-mapped cache.

How a photo becomes pixels is in ``decoding``; how the cache's files stay whole in ``image_cache``.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from selfml.data.dataset import Dataset, UnreadableImage
from selfml.data.decoding import (
    MAX_PIXELS,
    PIXELS_VERSION,
    ImageFacts,
    decode_image,
    encode_thumbnail,
    for_each_image,
    probe_image,
)
from selfml.data.image_cache import (
    LoadedImages,
    Thumbnails,
    fill_cache,
    is_usable,
    open_cache,
    publish_cache,
)

__all__ = [
    "MAX_PIXELS",
    "ImageFacts",
    "LoadedImages",
    "Thumbnails",
    "UnreadableImage",
    "decode_image",
    "encode_thumbnail",
    "for_each_image",
    "load_images",
    "probe_image",
]


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
        "version": PIXELS_VERSION,
        "dataset_sha256": dataset.sha256(),
        "size_px": size_px,
        "thumbnails": thumbnails,
    }
    if not is_usable(cache, key):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=f".{cache.stem}-") as folder:
            fill_cache(dataset, size_px, Path(folder), thumbnails, progress, n_workers)
            publish_cache(Path(folder), cache, key, thumbnails)
    return open_cache(cache, dataset.n_images, thumbnails)
