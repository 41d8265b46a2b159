"""Where a dataset's encoded images lie: files in the folder, or rows of ``images.parquet``."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.data.image_files import checked_bytes, file_size
from selfml.data.messages import DatasetError, Findings, quote, several
from selfml.data.tables import Table, tidy_name

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


class ParquetImages:
    """The images of ``images.parquet`` (``file_name``: string, ``image_bytes``: binary).

    Reading one image keeps its row group in memory, so that neighbours come for free.
    """

    def __init__(self, path: Path):
        try:
            self._file = pq.ParquetFile(path, memory_map=True)
            schema = self._file.schema_arrow
            self._check(schema)
            names = self._file.read(columns=["file_name"])["file_name"].to_pylist()
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())[:200]
            raise DatasetError(
                f"images.parquet: not a readable parquet file ({reason}). Write it again."
            ) from None
        self.rows: dict[str, int] = {}
        for row, name in enumerate(names):
            if self.rows.setdefault(tidy_name(name or ""), row) != row:
                raise DatasetError(
                    f"images.parquet, row {row + 1}: file_name {quote(name)} is already in row "
                    f"{self.rows[tidy_name(name or '')] + 1}; an image has one row. Remove one."
                )
        groups = [
            self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(groups)]).astype(np.int64)
        self._lock = threading.Lock()
        self._group, self._column = -1, None

    @staticmethod
    def _check(schema: pa.Schema) -> None:
        for name, is_kind in (("file_name", _is_text), ("image_bytes", _is_binary)):
            if name not in schema.names:
                raise DatasetError(
                    f"images.parquet: no column {name!r}; it holds file_name and image_bytes, this "
                    f"one {', '.join(schema.names[:6])}. Rename the columns."
                )
            if not is_kind(schema.field(name).type):
                raise DatasetError(
                    f"images.parquet: column {name!r} is {str(schema.field(name).type)[:60]}; the "
                    "rule is file_name: string, image_bytes: binary. Convert the column."
                )

    def read(self, name: str) -> bytes | None:
        """Return one image's bytes, or None where it is absent or null."""
        row = self.rows.get(name)
        if row is None:
            return None
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:
            if group != self._group:
                self._column = self._file.read_row_group(group, columns=["image_bytes"])[0]
                self._group = group
            return self._column[row - int(self._starts[group])].as_py()

    def stream(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield (name, bytes or None) in the file's order, 256 rows in memory at a time."""
        for batch in self._file.iter_batches(256, columns=["file_name", "image_bytes"]):
            for name, data in zip(batch["file_name"], batch["image_bytes"], strict=True):
                yield tidy_name(name.as_py() or ""), data.as_py()


def iter_parquet(
    images: ParquetImages, names: Iterable[str]
) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Yield (position in ``names``, function for its bytes), each name once, as they are stored."""
    rows_of: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        rows_of.setdefault(name, []).append(index)
    for name, data in images.stream():
        for index in rows_of.pop(name, ()):
            yield index, partial(checked_bytes, data)
    for indices in rows_of.values():
        for index in indices:
            yield index, partial(checked_bytes, None)


def list_image_files(root: Path) -> set[str]:
    """Return the relative POSIX names of the image files under ``root`` (hidden ones are not)."""
    return set(iter_image_files(root))


def iter_image_files(root: Path) -> Iterator[str]:
    """The same one by one, in no order."""
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield (relative / name).as_posix()


def look_for_images(
    root: Path, labels: Table, parquet: ParquetImages | None, findings: Findings
) -> None:
    """Count rows without their image, and note names that leave the folder by a link."""
    missing = []
    inside: dict[Path, bool] = {}
    for name, row in zip(labels.names, labels.rows, strict=True):
        if parquet is not None:
            if name not in parquet.rows:
                missing.append((row, name))
            continue
        path = root / name
        if path.parent not in inside:
            inside[path.parent] = Path(os.path.realpath(path.parent)).is_relative_to(root)
        stays = inside[path.parent]
        if stays and os.path.islink(path):
            stays = Path(os.path.realpath(path)).is_relative_to(root)
        if not stays:
            findings.error(
                f"{labels.file}, row {row}: file_name {quote(name)} leaves the dataset folder by "
                "a symbolic link. Copy the image inside."
            )
        elif file_size(path) < 0:
            missing.append((row, name))
    findings.count("n_missing_images", len(missing))
    if missing:
        place = "images.parquet" if parquet is not None else "the folder"
        findings.warnings.append(
            f"{labels.file}: {several(len(missing), 'image is', 'images are')} not in {place}, the "
            f"first in row "
            f"{missing[0][0]} ({quote(missing[0][1])}). Add them or remove the rows."
        )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
