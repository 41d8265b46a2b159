"""Read ``labels.csv``, ``clean.csv`` and ``truth.csv`` by the rules at the head of ``dataset``."""

import csv
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from selfml.corrections import restore
from selfml.data.messages import DatasetError, Findings, has_control, quote, several, some
from selfml.data.spelling import misspelt

LABEL_CODES = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": 255}  # 255 is -1 as int8
_RESERVED = ("file_name", "category", "split")


@dataclass(frozen=True)
class Table:
    """One CSV: image names, their spreadsheet rows, label codes and the other columns kept."""

    file: str
    names: list[str]
    rows: list[int]
    attributes: tuple[str, ...]
    labels: np.ndarray  # (n, len(attributes)) int8
    text: list[str]  # category or split, "" where blank or absent


def read_table(
    path: Path, text_column: str, known: tuple[str, ...] | None, findings: Findings
) -> Table:
    """Read one CSV; ``known`` are the attributes of the labels file, None when reading that."""
    rows = _read_rows(path)
    first = next(rows, None)
    if first is None:
        raise DatasetError(
            f"{path.name}: the file is empty; its first row names the columns (file_name, then one "
            "per attribute). Write it again."
        )
    header = read_header(path, *first)
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
        name = tidy_name(cells[name_at])
        problem = name_problem(name)
        if problem:
            findings.error(f"{here}: file_name {quote(cells[name_at])} {problem}")
            continue
        codes += _row_codes(here, cells, columns, attributes, findings)
        names.append(name)
        numbers.append(row)
        texts.append("" if text_at is None else restore(" ".join(cells[text_at].split())).strip())
    labels = np.frombuffer(bytes(codes), np.int8).reshape(len(names), len(attributes))
    return Table(path.name, names, numbers, attributes, labels, texts)


def without_repeats(table: Table, findings: Findings) -> Table:
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
        alike = "an earlier row exactly and"
        rows = several(len(repeats), f"row repeats {alike} is", f"rows repeat {alike} are")
        findings.warnings.append(
            f"{table.file}: {rows} dropped, the first in row "
            f"{table.rows[repeats[0]]} ({quote(table.names[repeats[0]])})."
        )
    findings.count("n_duplicate_rows", len(repeats))
    findings.count("n_conflicting_rows", conflicts)
    if len(keep) == len(table.names):
        return table
    pick = [[column[i] for i in keep] for column in (table.names, table.rows, table.text)]
    return Table(table.file, pick[0], pick[1], table.attributes, table.labels[keep], pick[2])


def aligned(
    table: Table, labels: Table, row_of: dict[str, int], findings: Findings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ((N, L) labels in the labels file's order, rows covered, their table positions)."""
    where = np.array([i for i, name in enumerate(table.names) if name in row_of], dtype=np.int64)
    rows = np.array([row_of[table.names[i]] for i in where], dtype=np.int64)
    unlisted = len(table.names) - len(where)
    if unlisted:
        first = next(i for i, name in enumerate(table.names) if name not in row_of)
        unknown = f"an image that {labels.file} does not list and"
        noted = several(unlisted, f"row names {unknown} is", f"rows name {unknown} are")
        findings.warnings.append(
            f"{table.file}: {noted} ignored, the first in row "
            f"{table.rows[first]} ({quote(table.names[first])})."
        )
    findings.count(f"n_{Path(table.file).stem}_rows_unlisted", unlisted)
    full = np.full((len(labels.names), len(labels.attributes)), -1, np.int8)
    columns = [labels.attributes.index(name) for name in table.attributes]
    full[np.ix_(rows, columns)] = table.labels[where]
    return full, rows, where


def read_split(clean: Table, findings: Findings) -> list[str]:
    """Return the split of every row of ``clean.csv``, noting the ones that break the rule."""
    for row, value in zip(clean.rows, clean.text, strict=True):
        if value not in ("", "train", "test"):
            findings.error(
                f"clean.csv, row {row}, column 'split': a split is train, test or blank, not "
                f"{quote(value)}. Correct the cell."
            )
    return [value if value in ("train", "test") else "" for value in clean.text]


def column_name(cell: str) -> str:
    """A cell of the header as the name it stands for: stripped, and not guarded (`neutralise`)."""
    return restore(cell.strip()).strip()


def tidy_name(name: str) -> str:
    """Return ``file_name`` stripped, with ``/`` between parts and without ``.`` parts.

    Without the apostrophe that an export puts before what a spreadsheet would run.
    """
    name = column_name(name).replace("\\", "/")
    return PurePosixPath(name).as_posix() if name else ""


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


def read_header(path: Path, row: int, cells: list[str]) -> list[str]:
    """Return the stripped column names, or raise for a header no row could be read under."""
    names = [column_name(cell) for cell in cells]
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
        if has_control(name):
            raise DatasetError(
                f"{here}: column {quote(name)} has a line break or control character. Rename it."
            )
    return names


def _choose_attributes(
    file: str, header: list[str], known: tuple[str, ...] | None, findings: Findings
) -> tuple[str, ...]:
    """Return the attribute columns to read; warn where they differ from the labels file's.

    In clean.csv a column is an error that is one of the labels file misspelt
    (:mod:`selfml.data.spelling`): what was verified of it would not count.
    """
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
    verified = file == "clean.csv"
    meant = {a: b for a in extra for b in absent if verified and misspelt(a, b)}
    for name, other in meant.items():
        findings.error(
            f"{file}, row 1: column {quote(name)} is not in the labels file, whose {quote(other)} "
            "has no column here. Write it alike if it is the same; if not, remove the column."
        )
    extra = [name for name in extra if name not in meant]
    if extra:
        note = "not in the labels file and"
        close = difflib.get_close_matches(extra[0], absent, 1)
        hint = f" Did you mean {quote(close[0])}?" if close else ""
        findings.warnings.append(
            f"{file}: {several(len(extra), f'column is {note} is', f'columns are {note} are')} "
            f"ignored: {some(extra)}.{hint}"
        )
    if absent:
        findings.warnings.append(
            f"{file}: {several(len(absent), 'attribute has', 'attributes have')} no column, so the "
            f"labels are unknown there and masked: {some(absent)}."
        )
    return shared


def _row_codes(here, cells, columns, attributes, findings) -> bytes:
    """Return one row's labels as bytes (255 unknown); a bad cell is an error and unknown."""
    try:
        return bytes([LABEL_CODES[cells[at]] for at in columns])
    except KeyError:
        pass
    codes = []
    for at, attribute in zip(columns, attributes, strict=True):
        code = LABEL_CODES.get(cells[at].strip())
        if code is None:
            findings.error(
                f"{here}, column {quote(attribute)}: a label is 0, 1 or blank (unknown), not "
                f"{quote(cells[at])}. Correct the cell."
            )
        codes.append(255 if code is None else code)
    return bytes(codes)


def name_problem(name: str) -> str | None:
    """Return the rule a tidied name breaks and the next step, or None."""
    if name in ("", "."):
        return "is blank; every row names its image. Fill it in or remove the row."
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "is an absolute path; names are relative to the dataset folder. Shorten it."
    if ".." in name.split("/"):
        return "leaves the dataset folder by '..'. Move the image inside and name it from there."
    if has_control(name):
        return "has a line break or control character. Rename the file."
    return None
