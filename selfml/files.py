"""Files that are whole once they have their name: written beside it, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that readers see the old file or the whole new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with renamed(temporary, path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def renamed(temporary: Path, path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when it is whole; what a full disk cut off is not left there."""
    try:
        with open(temporary, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clear_unfinished(folder: Path) -> None:
    """Remove what killed writers left in ``folder``; only when nobody is at work there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
