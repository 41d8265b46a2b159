"""One encoded image from its file, and what is refused of it; imports next to nothing."""

import os
import stat
from pathlib import Path

from selfml.data.messages import UnreadableImage

MAX_FILE_BYTES = 200_000_000  # our choice: no catalogue photo is larger; it is never read


def read_image_file(root: Path, name: str) -> bytes:
    """Return one encoded image of the folder ``root`` (resolved).

    Raises
    ------
    UnreadableImage
        Missing, empty, not a regular file, over ``MAX_FILE_BYTES`` or outside the folder.
    """
    path = os.path.join(root, name)  # text: many images are small, and a Path costs as much as one
    try:
        inside = os.path.normcase(os.path.join(root, ""))
        real = os.path.normcase(os.path.realpath(path))
        if not os.path.join(real, "").startswith(inside):
            raise UnreadableImage("a symbolic link leaves the dataset folder")
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            raise UnreadableImage("not a regular file")
        if facts.st_size > MAX_FILE_BYTES:
            raise UnreadableImage(f"{facts.st_size} bytes; the limit is {MAX_FILE_BYTES}")
        with open(path, "rb") as file:
            return checked_bytes(file.read())
    except FileNotFoundError:
        raise UnreadableImage("missing: no such file in the dataset folder") from None
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror}") from None


def checked_bytes(data: bytes | None) -> bytes:
    """Return an image's bytes, or raise `UnreadableImage` for absent, empty or too many."""
    if data is None:
        raise UnreadableImage("missing: no such row, or no bytes, in the Parquet file")
    if not data:
        raise UnreadableImage("empty: 0 bytes")
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableImage(f"{len(data)} bytes; the limit is {MAX_FILE_BYTES}")
    return data


def file_size(path: Path) -> int:
    """Return the size in bytes, -1 where there is no such file."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1
