"""What is to be relabelled, row by row: a folder, a CSV of paths, or Parquet files with images.

* **Folder**: where it has ``*.parquet`` files directly in it, these; else the rows of its
  ``labels.csv`` (or ``metadata.csv``); else every image file below it, by name.
* **CSV**: a column ``file_name``, relative to the CSV's folder; perhaps ``category``, and a column
  for each attribute of the run that labels are given of. Others are passed over.
* **Parquet**: ``file_name`` (or ``image_id``) and ``image_bytes`` (or ``image``, as
  `datasets` writes it), perhaps ``category`` and attributes. Labels of a ``labels.csv`` beside them
  count where a file has none itself.

A row that cannot be used (a name that leaves the folder, an image listed twice, a label that is
none) is passed on with an error: it costs nobody else anything. Rows come one by one, so memory
does not grow with the source, but for 8 bytes an image that tell what was listed already.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfml.corrections import restore
from selfml.data.messages import DatasetError, quote
from selfml.data.storage import iter_image_files, list_image_files
from selfml.data.tables import LABEL_CODES, name_problem, read_header, tidy_name

NAMES, IMAGES = ("file_name", "image_id"), ("image_bytes", "image")
LISTINGS = ("labels.csv", "metadata.csv")
CHUNK = 1024  # rows of a Parquet file read at a time, without their images
UNKNOWN = 255  # -1 as int8


@dataclass(frozen=True)
class Row:
    """One image of a source.

    Attributes
    ----------
    image_id : str
        Its name.
    file : str
        Where its bytes are: an image file, or a Parquet file; relative to the source's folder.
    row : int
        Which row of a Parquet file; -1 of an image file.
    category : str or None
    given : bytes
        L labels, 255 unknown.
    error : str or None
        Why it cannot be used.
    """

    image_id: str
    file: str
    row: int
    category: str | None
    given: bytes
    error: str | None = None


@dataclass(frozen=True)
class Listed:
    """Names of a source, a number of 8 bytes for each.

    Attributes
    ----------
    names : set of int
        Of every row.
    unusable : set of int
        As files are called, of rows that name one but cannot be used.
    """

    names: set[int] = field(default_factory=set)
    unusable: set[int] = field(default_factory=set)

    def __contains__(self, number: int) -> bool:
        return number in self.names or number in self.unusable


def source_root(source: Path) -> Path:
    """The folder that names in a source are relative to, resolved.

    Raises
    ------
    DatasetError
        When there is no such folder or file.
    """
    if not source.exists():
        raise DatasetError(f"{source}: no such folder or file; name what is to be relabelled")
    return (source if source.is_dir() else source.parent).resolve()


def iter_rows(
    source: Path, attributes: Sequence[str], listed: Listed | None = None
) -> Iterator[Row]:
    """Every image of a source in a fixed order, each name once (a second time it is an error).

    Parameters
    ----------
    attributes : sequence of str
        Those of the run, L.
    listed : Listed, optional
        Is given the name of each, for :func:`unlisted`.

    Raises
    ------
    DatasetError
        In one line, where the source as a whole cannot be read.
    """
    listed = listed or Listed()
    seen = listed.names
    for row in _rows(source, list(attributes)):
        key = _number(row.image_id)
        if row.error is None and key in seen:
            yield Row(row.image_id, row.file, row.row, row.category, row.given, "listed before")
            continue
        seen.add(key)
        if row.error is not None and not row.file:
            listed.unusable.add(_number(tidy_name(row.image_id)))
        yield row


def _number(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest)


def unlisted(source: Path, listed: Listed) -> tuple[str, int]:
    """The table that lists the image files of a folder, and how many it does not list.

    Parameters
    ----------
    listed : Listed
        What :func:`iter_rows` gave of all that is listed.

    Returns
    -------
    tuple of str and int
        Empty and 0 where no table lists image files: of a CSV file, of Parquet files, and of a
        folder without either.
    """
    if source.is_file() or _parquet_files(source):
        return "", 0
    listing = _listing(source)
    if listing is None:
        return "", 0
    stored = iter_image_files(source.resolve())
    return listing.name, sum(_number(name) not in listed for name in stored)


def _parquet_files(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*.parquet") if not path.name.startswith("."))


def _listing(root: Path) -> Path | None:
    return next((root / name for name in LISTINGS if (root / name).is_file()), None)


def _rows(source: Path, attributes: list[str]) -> Iterator[Row]:
    root = source_root(source)
    if source.is_file():
        if source.suffix.lower() == ".parquet":
            yield from _parquet_rows([source.resolve()], root, attributes, {})
        else:
            yield from _csv_rows(source, attributes)
        return
    shards, listing = _parquet_files(root), _listing(root)
    if shards:
        listed = {} if listing is None else _listed(listing, attributes)
        yield from _parquet_rows(shards, root, attributes, listed)
    elif listing is not None:
        yield from _csv_rows(listing, attributes)
    else:
        names = sorted(list_image_files(root))
        if not names:
            raise DatasetError(f"{source}: no JPEG, PNG or WebP image, CSV or Parquet file in it")
        unknown = bytes([UNKNOWN]) * len(attributes)
        for name in names:
            shown = name.encode("utf-8", "replace").decode()
            error = None if shown == name else "its name is not UTF-8; rename the file"
            yield Row(shown, shown, -1, None, unknown, error)


# ---------------------------------------------------------------------------------------------- CSV
def _csv_rows(path: Path, attributes: list[str]) -> Iterator[Row]:
    cells = _cells(path)
    first = next(cells, None)
    if first is None:
        raise DatasetError(f"{path.name}: the file is empty; its first row names the columns")
    header = read_header(path, *first)
    name_at = header.index("file_name")
    filed_at = header.index("category") if "category" in header else None
    places = [header.index(name) if name in header else None for name in attributes]
    for number, row in cells:
        if len(row) != len(header):
            error = f"row {number}: {len(row)} cells under {len(header)} columns"
            yield _unusable(row[name_at] if len(row) > name_at else "", number, error, attributes)
            continue
        name = tidy_name(row[name_at])
        problem = name_problem(name)
        if problem:
            error = f"row {number}: the name {problem}"
            yield _unusable(row[name_at], number, error, attributes)
            continue
        category = None
        if filed_at is not None:
            category = restore(" ".join(row[filed_at].split())).strip() or None
        given, wrong = _codes([None if at is None else row[at] for at in places])
        error = None if wrong is None else f"row {number}: a label is 0, 1 or blank, not {wrong}"
        yield Row(name, name, -1, category, given, error)


def _unusable(name: str, number: int, error: str, attributes: list[str]) -> Row:
    shown = "".join(c for c in name if c.isprintable())[:200] or f"row {number}"
    return Row(shown, "", -1, None, bytes([UNKNOWN]) * len(attributes), error)


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(spreadsheet row, cells) of a CSV file that is never in memory as a whole."""
    row = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for row, cells in enumerate(csv.reader(file, strict=True), 1):
                if any(cell.strip() for cell in cells):
                    yield row, cells
    except UnicodeDecodeError:
        raise DatasetError(
            f"{path.name}, after row {row}: not UTF-8. Save the file again as CSV UTF-8."
        ) from None
    except csv.Error as error:
        raise DatasetError(f"{path.name}, row {row + 1}: not valid CSV ({error}).") from None
    except OSError as error:
        raise DatasetError(f"{path.name}: cannot be read ({error.strerror}).") from None


def _listed(path: Path, attributes: list[str]) -> dict[str, Row]:
    return {row.image_id: row for row in _csv_rows(path, attributes) if row.file}


def _codes(cells: Sequence[object]) -> tuple[bytes, str | None]:
    """Labels as bytes, and the first cell that is none."""
    codes, wrong = [], None
    for cell in cells:
        text = "" if cell is None else str(int(cell) if isinstance(cell, bool) else cell).strip()
        code = LABEL_CODES.get(text)
        if code is None:
            wrong = wrong or quote(text)
        codes.append(UNKNOWN if code is None else code)
    return bytes(codes), wrong


# ------------------------------------------------------------------------------------------ Parquet
def image_column(schema: pa.Schema, name: str) -> str:
    """The column with the images' bytes; ``image.bytes`` where it is a struct of them.

    Raises
    ------
    DatasetError
        Where there is none.
    """
    for column in IMAGES:
        if column in schema.names:
            kind = schema.field(column).type
            if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                return column
            if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                return f"{column}.bytes"
    raise DatasetError(
        f"{name}: no column image_bytes (binary); it holds file_name and image_bytes, this one "
        f"{', '.join(schema.names[:6])}. Rename the columns."
    )


def _parquet_rows(
    files: list[Path], root: Path, attributes: list[str], listed: dict[str, Row]
) -> Iterator[Row]:
    for path in files:
        relative = path.relative_to(root).as_posix()
        try:
            with pq.ParquetFile(path) as opened:
                yield from _rows_of(opened, relative, attributes, listed)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DatasetError(f"{relative}: not a readable parquet file ({reason})") from None


def _rows_of(
    file: pq.ParquetFile, relative: str, attributes: list[str], listed: dict[str, Row]
) -> Iterator[Row]:
    schema = file.schema_arrow
    image_column(schema, relative)
    name_column = next((name for name in NAMES if name in schema.names), None)
    if name_column is None:
        raise DatasetError(f"{relative}: no column file_name; it names every image. Add it.")
    known = [name for name in attributes if name in schema.names]
    filed = [name for name in ("category",) if name in schema.names]
    number = 0
    for batch in file.iter_batches(CHUNK, columns=[name_column, *filed, *known]):
        columns = {name: batch[name].to_pylist() for name in batch.schema.names}
        for i, given_name in enumerate(columns[name_column]):
            name = tidy_name(str(given_name or ""))
            category = str(columns["category"][i] or "").strip() or None if filed else None
            given, wrong = _codes([columns[n][i] if n in columns else None for n in attributes])
            beside = listed.get(name)
            if beside is not None:
                given, category = (given if known else beside.given), category or beside.category
            problem = name_problem(name)
            error = f"{relative}, row {number + 1}: the name {problem}" if problem else None
            if wrong is not None:
                error = f"{relative}, row {number + 1}: a label is 0, 1 or null, not {wrong}"
            yield Row(name or f"{relative}, row {number + 1}", relative, number, category, given,
                      error)  # fmt: skip
            number += 1
