"""Read a dataset folder: images, ``labels.csv``, ``clean.csv`` and, to measure, ``truth.csv``.

Notation: N images (rows of ``labels.csv``, in its order), L attributes (its columns, in order).
A label is 0, 1 or -1 (blank: not known). All rules for the files are our choice:

* CSV, comma-separated, UTF-8 (a byte-order mark and CRLF are fine). A label cell is ``0``, ``1``,
  ``0.0``, ``1.0`` or blank; anything else is an error, since a guess would be a wrong label.
* ``file_name`` is relative to the folder; ``\\`` reads as ``/``. A name may not leave the folder,
  by ``..``, by an absolute path or by a symbolic link.
* An apostrophe before a name that a spreadsheet would run as a formula (``'=x``) is not part of it:
  `selfml export` puts it there.
* A row repeated exactly is dropped with a warning; an image listed twice with different labels is
  an error. Rows of the verified files whose image is not in ``labels.csv`` are ignored, warned.
* An attribute without a 1 in the given and in the verified labels is an error: nothing can be
  learned about it. Without positives among the verified labels alone it is only not evaluable.

Row numbers in messages are a spreadsheet's: the header is row 1.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from selfml.data.image_files import checked_bytes, file_size, read_image_file
from selfml.data.messages import DatasetError, Findings, UnreadableImage, quote
from selfml.data.storage import (
    ParquetImages,
    iter_parquet,
    look_for_images,
)
from selfml.data.tables import Table, aligned, read_split, read_table, without_repeats

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetScan",
    "UnreadableImage",
    "read_dataset",
    "scan_dataset",
]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A catalogue with given labels, verified rows and its images on disk.

    Attributes
    ----------
    root : Path
        The folder, resolved.
    file_names : numpy.ndarray
        (N,) str objects, POSIX, relative to ``root`` (or names in ``images.parquet``).
    categories : numpy.ndarray or None
        (N,) str objects, "" where blank; None without the column or when it is blank throughout.
    attributes : tuple of str
        L names, in the order of ``labels.csv``.
    labels_given, labels_verified : numpy.ndarray
        (N, L) int8 in {-1, 0, 1}; verified is -1 outside ``clean.csv``.
    is_clean : numpy.ndarray
        (N,) bool, the image has a row in ``clean.csv``.
    clean_split : numpy.ndarray
        (N,) str objects: "train", "test" or "" (no split given, or not clean).
    labels_truth : numpy.ndarray or None
        (N, L) int8 from ``truth.csv``; to measure with, never to train on.
    labels_file : Path
        ``labels.csv`` or ``metadata.csv``, so that an export has the same name and format.
    warnings : tuple of str
        One line each: what was dropped or ignored while reading.
    """

    root: Path
    file_names: np.ndarray
    categories: np.ndarray | None
    attributes: tuple[str, ...]
    labels_given: np.ndarray
    labels_verified: np.ndarray
    is_clean: np.ndarray
    clean_split: np.ndarray
    labels_truth: np.ndarray | None
    labels_file: Path
    warnings: tuple[str, ...] = ()
    parquet: ParquetImages | None = field(default=None, repr=False)

    @property
    def n_images(self) -> int:
        """N, the number of images listed."""
        return len(self.file_names)

    @property
    def n_attributes(self) -> int:
        """L, the number of attributes."""
        return len(self.attributes)

    def take(self, indices) -> "Dataset":
        """Return the dataset of these rows, in this order (``indices``: (M,) int or (N,) bool)."""
        rows = np.arange(self.n_images)[np.asarray(indices)]
        per_image = ("file_names", "labels_given", "labels_verified", "is_clean", "clean_split")
        optional = ("categories", "labels_truth")
        names = per_image + tuple(n for n in optional if getattr(self, n) is not None)
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def sha256(self) -> str:
        """Return the hash of the CSV files' bytes and of the images' names and sizes.

        Stable across machines and copies; an image replaced by one of equal size is not seen.
        With a parquet file its own size stands for those of its images.
        """
        digest = hashlib.sha256()
        for file in (self.labels_file, self.root / "clean.csv", self.root / "truth.csv"):
            if file.exists():
                digest.update(
                    f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest()
                )
        sizes = [-1] * self.n_images
        if self.parquet is None:
            sizes = [file_size(self.root / name) for name in self.file_names]
        else:
            digest.update(str(file_size(self.root / "images.parquet")).encode())
        for name, size in sorted(zip(self.file_names, sizes, strict=True)):
            digest.update(f"{name}\0{size}\0".encode())
        return digest.hexdigest()

    def open_image_bytes(self, index: int) -> bytes:
        """Return the encoded image of row ``index``, from the folder or the parquet file.

        Raises
        ------
        UnreadableImage
            Missing, empty, not a regular file, over ``MAX_FILE_BYTES`` or outside the folder.
        """
        name = self.file_names[index]
        if self.parquet is not None:
            return checked_bytes(self.parquet.read(name))
        return read_image_file(self.root, name)

    def iter_image_bytes(self) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """Yield (row, function that returns the encoded image or raises UnreadableImage).

        In the order of storage, so that a parquet file is read once, some hundred rows at a time;
        for a folder the function reads the file, so that a thread pool can.
        """
        if self.parquet is not None:
            yield from iter_parquet(self.parquet, self.file_names)
            return
        for index in range(self.n_images):
            yield index, partial(self.open_image_bytes, index)


@dataclass(frozen=True)
class DatasetScan:
    """All that reading found: the dataset (None if it could not be built), errors, counts."""

    dataset: Dataset | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]
    counts: dict[str, int]
    n_errors: int


def read_dataset(root: str | Path) -> Dataset:
    """Read a dataset folder by the rules at the head of this module.

    Images are not opened: one that is missing is a warning here, and counted when loading.

    Raises
    ------
    DatasetError
        One line about the first problem; ``selfml check`` lists them all.
    """
    scan = scan_dataset(root)
    if scan.errors:
        more = scan.n_errors - 1
        tail = f" ({more} more: run `selfml check` to list them.)" if more else ""
        raise DatasetError(scan.errors[0] + tail)
    return scan.dataset


def scan_dataset(root: str | Path) -> DatasetScan:
    """Read a dataset folder and list every problem in place of stopping at the first."""
    findings = Findings()
    dataset = None
    try:
        dataset = _build(Path(root), findings)
    except DatasetError as error:
        findings.error(str(error))
    return DatasetScan(
        dataset,
        tuple(findings.errors),
        tuple(findings.warnings),
        findings.counts,
        findings.n_errors,
    )


def _build(root: Path, findings: Findings) -> Dataset:
    labels_file, parquet_file = _locate(root, findings)
    root = labels_file.parent
    labels = without_repeats(read_table(labels_file, "category", None, findings), findings)
    if not labels.names:
        raise DatasetError(f"{labels.file}: no usable row below the header. Add one row an image.")
    table = read_table(root / "clean.csv", "split", labels.attributes, findings)
    clean = without_repeats(table, findings)
    row_of = {name: i for i, name in enumerate(labels.names)}
    verified, rows, where = aligned(clean, labels, row_of, findings)
    if not len(rows):
        raise DatasetError(
            f"clean.csv: none of its {len(clean.names)} rows names an image of {labels.file} "
            f"(whose first is {quote(labels.names[0])}). Add verified rows under those names."
        )
    is_clean = np.zeros(len(labels.names), bool)
    is_clean[rows] = True
    split = np.full(len(labels.names), "", dtype=object)
    split[rows] = np.array(read_split(clean, findings), dtype=object)[where]
    truth = None
    if (root / "truth.csv").exists():
        table = read_table(root / "truth.csv", "split", labels.attributes, findings)
        truth = aligned(without_repeats(table, findings), labels, row_of, findings)[0]
    _require_positives(labels, verified, findings)
    parquet = ParquetImages(parquet_file) if parquet_file else None
    look_for_images(root, labels, parquet, findings)
    categories = np.array(labels.text, dtype=object) if any(labels.text) else None
    names = np.array(labels.names, dtype=object)
    return Dataset(
        root, names, categories, labels.attributes, labels.labels, verified, is_clean, split,
        truth, labels_file, tuple(findings.warnings), parquet,
    )  # fmt: skip


def _locate(root: Path, findings: Findings) -> tuple[Path, Path | None]:
    """Return the labels file and ``images.parquet`` where there is one."""
    if not os.path.isdir(root):
        rule = "not a folder" if os.path.exists(root) else "no such folder"
        raise DatasetError(f"{root}: {rule}. Give the folder that holds labels.csv.")
    root = root.resolve()
    found = [root / name for name in ("labels.csv", "metadata.csv") if (root / name).exists()]
    if not found:
        raise DatasetError(
            f"{root}: no labels.csv (or metadata.csv) in this folder. Add one with file_name and "
            "one 0/1 column per attribute."
        )
    if len(found) == 2:
        findings.warnings.append("metadata.csv is ignored, since labels.csv is there too.")
    if not (root / "clean.csv").exists():
        raise DatasetError(
            f"{root}: no clean.csv, the verified rows (file_name, optional split, one 0/1 column "
            "per attribute). Verify some images and list them there."
        )
    parquet_file = root / "images.parquet"
    return found[0], parquet_file if parquet_file.exists() else None


def _require_positives(labels: Table, verified: np.ndarray, findings: Findings) -> None:
    """Note every attribute that has no 1 in the given and none in the verified labels."""
    positive = (labels.labels == 1).any(axis=0) | (verified == 1).any(axis=0)
    for j in np.flatnonzero(~positive):
        findings.error(
            f"{labels.file}, column {quote(labels.attributes[j])}: never 1, here or in clean.csv, "
            "so nothing can be learned about it. Remove the column or verify an image that has it."
        )
