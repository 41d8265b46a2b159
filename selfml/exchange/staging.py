"""Files that come into being together: written aside, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class Staging:
    """Writes files and folders aside and gives them their names when all is written.

    Parameters
    ----------
    parent : Path
        The folder they are to lie in; made when missing.

    Attributes
    ----------
    files : dict
        Name relative to ``parent`` -> (SHA-256, bytes), in the order of writing.
    """

    def __init__(self, parent: Path):
        parent.mkdir(parents=True, exist_ok=True)
        self.parent = parent
        self.files: dict[str, tuple[str, int]] = {}
        self._aside = Path(tempfile.mkdtemp(prefix=".export-", suffix=".tmp", dir=parent))

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_error) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    def write(self, name: str, data: bytes, *, same_as: Path | None = None) -> None:
        """Write one file; as a hard link to ``same_as``, which holds ``data``, where that goes."""
        path = self._aside / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.files[name] = (hashlib.sha256(data).hexdigest(), len(data))
        if same_as is not None:
            with contextlib.suppress(OSError):  # another file system, or one without links
                os.link(same_as, path)
                return
        with open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A file to write piece by piece, front to back."""
        path = self._aside / "new" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.files[name] = (digest, path.stat().st_size)

    def publish(self) -> None:
        """Rename all to their names, in the order of writing; what had a name before goes."""
        for top in dict.fromkeys(name.split("/", 1)[0] for name in self.files):
            new, target = self._aside / "new" / top, self.parent / top
            if not new.is_dir():
                os.replace(new, target)
                continue
            old = self._aside / f"old-{top}"
            if target.exists():
                os.replace(target, old)
            try:
                os.replace(new, target)
            except OSError:
                if old.exists():
                    os.replace(old, target)
                raise
