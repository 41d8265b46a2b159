"""Read a dataset folder: images, ``labels.csv``, ``clean.csv`` and, to measure, ``truth.csv``.

Notation: N images (rows of ``labels.csv``, in its order), L attributes (its columns, in order).
A label is 0, 1 or -1 (blank: not known). All rules for the files are our choice:

* CSV, comma-separated, UTF-8 (a byte-order mark and CRLF are fine). A label cell is ``0``, ``1``,
  ``0.0``, ``1.0`` or blank; anything else is an error, since a guess would be a wrong label.
* ``file_name`` is relative to the folder; ``\\`` reads as ``/``. A name may not leave the folder,
  by ``..``, by an absolute path or by a symbolic link.
* A row repeated exactly is dropped with a warning; an image listed twice with different labels is
  an error. Rows of the verified files whose image is not in ``labels.csv`` are ignored, warned.
* An attribute without a 1 in the given and in the verified labels is an error: nothing can be
  learned about it. Without positives among the verified labels alone it is only not evaluable.

Row numbers in messages are a spreadsheet's: the header is row 1.
"""

import csv
import difflib
import hashlib
import io
import os
import stat
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MAX_FILE_BYTES = 200_000_000  # our choice: no catalogue photo is larger; it is never read
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_MAX_ERRORS_PER_SCAN = 20
_CODES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": 255}  # 255 is -1 as int8
_RESERVED = ("file_name", "category", "split")


class DatasetError(ValueError):
    """The dataset cannot be used; one line: file, row, rule, value, next step."""


class UnreadableImage(ValueError):
    """An image is missing or cannot be decoded; one line, without the file's name."""


@dataclass
class _Findings:
    """What reading found so far; errors beyond twenty are only counted."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    n_errors: int = 0

    def error(self, message: str) -> None:
        self.n_errors += 1
        if len(self.errors) < _MAX_ERRORS_PER_SCAN:
            self.errors.append(message)

    def count(self, name: str, n: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


@dataclass(frozen=True)
class _Table:
    """One CSV: image names, their spreadsheet rows, label codes and the other columns kept."""

    file: str
    names: list[str]
    rows: list[int]
    attributes: tuple[str, ...]
    labels: np.ndarray  # (n, len(attributes)) int8
    text: list[str]  # category or split, "" where blank or absent


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
    parquet: "ParquetImages | None" = field(default=None, repr=False)

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
            sizes = [_file_size(self.root / name) for name in self.file_names]
        else:
            digest.update(str(_file_size(self.root / "images.parquet")).encode())
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
            return _checked(self.parquet.read(name))
        path = self.root / name
        try:
            if not Path(os.path.realpath(path)).is_relative_to(self.root):
                raise UnreadableImage("a symbolic link leaves the dataset folder")
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise UnreadableImage("not a regular file")
            if facts.st_size > MAX_FILE_BYTES:
                raise UnreadableImage(f"{facts.st_size} bytes; the limit is {MAX_FILE_BYTES}")
            return _checked(path.read_bytes())
        except FileNotFoundError:
            raise UnreadableImage("missing: no such file in the dataset folder") from None
        except OSError as error:
            raise UnreadableImage(f"cannot be read: {error.strerror}") from None

    def iter_image_bytes(self) -> Iterator[tuple[int, Callable[[], bytes]]]:
        """Yield (row, function that returns the encoded image or raises UnreadableImage).

        In the order of storage, so that a parquet file is read once, some hundred rows at a time;
        for a folder the function reads the file, so that a thread pool can.
        """
        if self.parquet is None:
            for index in range(self.n_images):
                yield index, partial(self.open_image_bytes, index)
            return
        rows_of: dict[str, list[int]] = {}
        for index, name in enumerate(self.file_names):
            rows_of.setdefault(name, []).append(index)
        for name, data in self.parquet.stream():
            for index in rows_of.pop(name, ()):
                yield index, partial(_checked, data)
        for indices in rows_of.values():
            for index in indices:
                yield index, partial(_checked, None)


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
            if self.rows.setdefault(_tidy_name(name or ""), row) != row:
                raise DatasetError(
                    f"images.parquet, row {row + 1}: file_name {quote(name)} is already in row "
                    f"{self.rows[_tidy_name(name or '')] + 1}; an image has one row. Remove one."
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
                yield _tidy_name(name.as_py() or ""), data.as_py()


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
    findings = _Findings()
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


def list_image_files(root: Path) -> set[str]:
    """Return the relative POSIX names of the image files under ``root`` (hidden ones are not)."""
    found = set()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                found.add((relative / name).as_posix())
    return found


def _build(root: Path, findings: _Findings) -> Dataset:
    labels_file, parquet_file = _locate(root, findings)
    root = labels_file.parent
    labels = _unique(_read_table(labels_file, "category", None, findings), findings)
    if not labels.names:
        raise DatasetError(f"{labels.file}: no usable row below the header. Add one row an image.")
    clean = _unique(_read_table(root / "clean.csv", "split", labels.attributes, findings), findings)
    row_of = {name: i for i, name in enumerate(labels.names)}
    verified, rows, where = _aligned(clean, labels, row_of, findings)
    if not len(rows):
        raise DatasetError(
            f"clean.csv: none of its {len(clean.names)} rows names an image of {labels.file} "
            f"(whose first is {quote(labels.names[0])}). Add verified rows under those names."
        )
    is_clean = np.zeros(len(labels.names), bool)
    is_clean[rows] = True
    split = np.full(len(labels.names), "", dtype=object)
    split[rows] = np.array(_checked_split(clean, findings), dtype=object)[where]
    truth = None
    if (root / "truth.csv").exists():
        table = _read_table(root / "truth.csv", "split", labels.attributes, findings)
        truth = _aligned(_unique(table, findings), labels, row_of, findings)[0]
    _require_positives(labels, verified, findings)
    parquet = ParquetImages(parquet_file) if parquet_file else None
    _look_for_images(root, labels, parquet, findings)
    categories = np.array(labels.text, dtype=object) if any(labels.text) else None
    names = np.array(labels.names, dtype=object)
    return Dataset(
        root, names, categories, labels.attributes, labels.labels, verified, is_clean, split,
        truth, labels_file, tuple(findings.warnings), parquet,
    )  # fmt: skip


def _locate(root: Path, findings: _Findings) -> tuple[Path, Path | None]:
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


def _read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (spreadsheet row, cells) of a CSV file; rows without any text are passed over."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{path.name}, row {row}: not UTF-8 (byte 0x{data[error.start]:02x}). Save the file "
            "again as CSV UTF-8."
        ) from None
    row = 0
    try:
        for row, cells in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1):
            if any(cell.strip() for cell in cells):
                yield row, cells
    except csv.Error as error:
        raise DatasetError(
            f"{path.name}, row {row + 1}: not valid CSV ({error}). Check the quotes in this row."
        ) from None


def _read_header(path: Path, row: int, cells: list[str]) -> list[str]:
    """Return the stripped column names, or raise for a header no row could be read under."""
    names = [cell.strip() for cell in cells]
    here = f"{path.name}, row {row}"
    if "file_name" not in names:
        for mark, word in ((";", "semicolons"), ("\t", "tabs")):
            if any(mark in cell for cell in cells):
                raise DatasetError(
                    f"{here}: columns are separated by {word}; the rule is commas. Save the file "
                    "again as comma-separated CSV."
                )
        shown = ", ".join(quote(name) for name in names[:5])
        raise DatasetError(f"{here}: no column 'file_name' among {shown}. Rename or add it.")
    for position, name in enumerate(names, 1):
        if not name:
            raise DatasetError(
                f"{here}: column {position} has no name; every column has one. Name or remove it "
                "(pandas: to_csv(index=False))."
            )
        if names.count(name) > 1:
            raise DatasetError(f"{here}: column {quote(name)} appears twice. Rename or remove one.")
        if _has_control(name):
            raise DatasetError(
                f"{here}: column {quote(name)} has a line break or control character. Rename it."
            )
    return names


def _read_table(
    path: Path, text_column: str, known: tuple[str, ...] | None, findings: _Findings
) -> _Table:
    """Read one CSV; ``known`` are the attributes of the labels file, None when reading that."""
    rows = _read_rows(path)
    first = next(rows, None)
    if first is None:
        raise DatasetError(
            f"{path.name}: the file is empty; its first row names the columns (file_name, then one "
            "per attribute). Write it again."
        )
    header = _read_header(path, *first)
    attributes = _choose_attributes(path.name, header, known, findings)
    columns = [header.index(name) for name in attributes]
    text_at = header.index(text_column) if text_column in header else None
    name_at = header.index("file_name")
    names, numbers, texts, codes = [], [], [], bytearray()
    for row, cells in rows:
        here = f"{path.name}, row {row}"
        if len(cells) != len(header):
            findings.error(
                f"{here}: {len(cells)} cells under {len(header)} columns; a row has one cell per "
                "column. Correct the row (a comma inside a cell needs quotes)."
            )
            continue
        name = _tidy_name(cells[name_at])
        problem = _name_problem(name)
        if problem:
            findings.error(f"{here}: file_name {quote(cells[name_at])} {problem}")
            continue
        codes += _row_codes(here, cells, columns, attributes, findings)
        names.append(name)
        numbers.append(row)
        texts.append("" if text_at is None else " ".join(cells[text_at].split()))
    labels = np.frombuffer(bytes(codes), np.int8).reshape(len(names), len(attributes))
    return _Table(path.name, names, numbers, attributes, labels, texts)


def _choose_attributes(
    file: str, header: list[str], known: tuple[str, ...] | None, findings: _Findings
) -> tuple[str, ...]:
    """Return the attribute columns to read; warn where they differ from the labels file's."""
    if known is None:
        if "split" in header:
            raise DatasetError(
                f"{file}, row 1: 'split' belongs in clean.csv and is not an attribute. Remove the "
                "column."
            )
        attributes = tuple(name for name in header if name not in _RESERVED)
        if not attributes:
            raise DatasetError(f"{file}, row 1: no attribute column. Add one 0/1 column for each.")
        return attributes
    shared = tuple(name for name in known if name in header)
    if not shared:
        raise DatasetError(
            f"{file}, row 1: no attribute of the labels file (such as {quote(known[0])}) is a "
            "column here. Use the same names."
        )
    extra = [name for name in header if name not in known and name not in _RESERVED]
    absent = [name for name in known if name not in header]
    if extra:
        close = difflib.get_close_matches(extra[0], absent, 1)
        hint = f" Did you mean {quote(close[0])}?" if close else ""
        findings.warnings.append(
            f"{file}: {len(extra)} columns are not in the labels file and are ignored: "
            f"{some(extra)}.{hint}"
        )
    if absent:
        findings.warnings.append(
            f"{file}: {len(absent)} attributes have no column, so their labels are unknown there "
            f"and masked: {some(absent)}."
        )
    return shared


def _row_codes(here, cells, columns, attributes, findings) -> bytes:
    """Return one row's labels as bytes (255 unknown); a bad cell is an error and unknown."""
    try:
        return bytes([_CODES[cells[at]] for at in columns])
    except KeyError:
        pass
    codes = []
    for at, attribute in zip(columns, attributes, strict=True):
        code = _CODES.get(cells[at].strip())
        if code is None:
            findings.error(
                f"{here}, column {quote(attribute)}: a label is 0, 1 or blank (unknown), not "
                f"{quote(cells[at])}. Correct the cell."
            )
        codes.append(255 if code is None else code)
    return bytes(codes)


def _tidy_name(name: str) -> str:
    """Return ``file_name`` stripped, with ``/`` between parts and without ``.`` parts."""
    name = name.strip().replace("\\", "/")
    return PurePosixPath(name).as_posix() if name else ""


def _name_problem(name: str) -> str | None:
    """Return the rule a tidied name breaks and the next step, or None."""
    if name in ("", "."):
        return "is blank; every row names its image. Fill it in or remove the row."
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "is an absolute path; names are relative to the dataset folder. Shorten it."
    if ".." in name.split("/"):
        return "leaves the dataset folder by '..'. Move the image inside and name it from there."
    if _has_control(name):
        return "has a line break or control character. Rename the file."
    return None


def _unique(table: _Table, findings: _Findings) -> _Table:
    """Drop rows repeated exactly (a warning); the same image with other values is an error."""
    first_of: dict[str, int] = {}
    keep, repeats, conflicts = [], [], 0
    for i, name in enumerate(table.names):
        first = first_of.setdefault(name, i)
        if first == i:
            keep.append(i)
            continue
        differ = np.flatnonzero(table.labels[first] != table.labels[i])
        if not len(differ) and table.text[first] == table.text[i]:
            repeats.append(i)
            continue
        conflicts += 1
        what = f"column {quote(table.attributes[differ[0]])}" if len(differ) else "another column"
        findings.error(
            f"{table.file}, row {table.rows[i]}: {quote(name)} is listed in row "
            f"{table.rows[first]} already, with a different value in {what}; an image has one row. "
            "Remove the wrong one."
        )
    if repeats:
        findings.warnings.append(
            f"{table.file}: {len(repeats)} rows repeat an earlier row exactly and are dropped, the "
            f"first in row {table.rows[repeats[0]]} ({quote(table.names[repeats[0]])})."
        )
    findings.count("n_duplicate_rows", len(repeats))
    findings.count("n_conflicting_rows", conflicts)
    if len(keep) == len(table.names):
        return table
    pick = [[column[i] for i in keep] for column in (table.names, table.rows, table.text)]
    return _Table(table.file, pick[0], pick[1], table.attributes, table.labels[keep], pick[2])


def _aligned(table, labels, row_of, findings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ((N, L) labels in the labels file's order, rows covered, their table positions)."""
    where = np.array([i for i, name in enumerate(table.names) if name in row_of], dtype=np.int64)
    rows = np.array([row_of[table.names[i]] for i in where], dtype=np.int64)
    unlisted = len(table.names) - len(where)
    if unlisted:
        first = next(i for i, name in enumerate(table.names) if name not in row_of)
        findings.warnings.append(
            f"{table.file}: {unlisted} rows name an image that {labels.file} does not list and are "
            f"ignored, the first in row {table.rows[first]} ({quote(table.names[first])})."
        )
    findings.count(f"n_{Path(table.file).stem}_rows_unlisted", unlisted)
    full = np.full((len(labels.names), len(labels.attributes)), -1, np.int8)
    columns = [labels.attributes.index(name) for name in table.attributes]
    full[np.ix_(rows, columns)] = table.labels[where]
    return full, rows, where


def _checked_split(clean: _Table, findings: _Findings) -> list[str]:
    """Return the split of every row of ``clean.csv``, noting the ones that break the rule."""
    for row, value in zip(clean.rows, clean.text, strict=True):
        if value not in ("", "train", "test"):
            findings.error(
                f"clean.csv, row {row}, column 'split': a split is train, test or blank, not "
                f"{quote(value)}. Correct the cell."
            )
    return [value if value in ("train", "test") else "" for value in clean.text]


def _require_positives(labels: _Table, verified: np.ndarray, findings: _Findings) -> None:
    """Note every attribute that has no 1 in the given and none in the verified labels."""
    positive = (labels.labels == 1).any(axis=0) | (verified == 1).any(axis=0)
    for j in np.flatnonzero(~positive):
        findings.error(
            f"{labels.file}, column {quote(labels.attributes[j])}: never 1, here or in clean.csv, "
            "so nothing can be learned about it. Remove the column or verify an image that has it."
        )


def _look_for_images(root, labels, parquet, findings) -> None:
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
        elif _file_size(path) < 0:
            missing.append((row, name))
    findings.count("n_missing_images", len(missing))
    if missing:
        place = "images.parquet" if parquet is not None else "the folder"
        findings.warnings.append(
            f"{labels.file}: {len(missing)} images are not in {place}, the first in row "
            f"{missing[0][0]} ({quote(missing[0][1])}). Add them or remove the rows."
        )


def _checked(data: bytes | None) -> bytes:
    if data is None:
        raise UnreadableImage("missing: no such row, or no bytes, in images.parquet")
    if not data:
        raise UnreadableImage("empty: 0 bytes")
    if len(data) > MAX_FILE_BYTES:
        raise UnreadableImage(f"{len(data)} bytes; the limit is {MAX_FILE_BYTES}")
    return data


def _file_size(path: Path) -> int:
    """Return the size in bytes, -1 where there is no such file."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _has_control(text: str) -> bool:
    return any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in text)


def some(names: Iterable[str], limit: int = 5) -> str:
    """Return the first names for a message, quoted, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(quote(name) for name in names[:limit]) + more


def quote(value: object) -> str:
    """Return a value for a message: on one line, at most 60 characters, in quotes."""
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
