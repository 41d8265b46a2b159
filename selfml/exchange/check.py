"""The corrected labels as another system gives them back, beside what was exported."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.data.messages import DatasetError, Findings, quote
from selfml.data.tables import Table, column_name, read_table, tidy_name, without_repeats
from selfml.exchange.manifest import fingerprint, manifest_of, read_manifest

DIFFERENCES = ("file_name", "column", "exported", "found")


@dataclass(frozen=True)
class Comparison:
    """How a table that came back differs from the exported one.

    Attributes
    ----------
    cells : DataFrame
        ``DIFFERENCES``, one row a cell that differs, in the order of the exported file; texts as
        they are in a file, "" for blank.
    missing_images, missing_columns : tuple of str
        Exported and not there.
    other_images, other_columns : tuple of str
        There and not exported; this is no difference.
    n_cells : int
        How many cells were compared.
    """

    cells: pd.DataFrame
    missing_images: tuple[str, ...]
    missing_columns: tuple[str, ...]
    other_images: tuple[str, ...]
    other_columns: tuple[str, ...]
    n_cells: int

    @property
    def same(self) -> bool:
        """Whether nothing that was exported is missing or otherwise."""
        return self.cells.empty and not self.missing_images and not self.missing_columns


def compare(found: Path, exported: Path) -> Comparison:
    """Compare cell by cell, by image and column; order, ``1.0`` and line ends do not count.

    Parameters
    ----------
    found, exported : Path
        CSV or Parquet, each by its ending. Where a manifest lies beside ``exported``, it must still
        be as it was written.

    Raises
    ------
    ValueError
        For a file that is no such table, or an exported one that was changed, in one line.
    """
    _check_untouched(exported)
    before, _ = _read(exported, None)
    after, header = _read(found, before.attributes)
    place = {name: i for i, name in enumerate(after.names)}
    rows = np.array([place.get(name, -1) for name in before.names])
    there = np.flatnonzero(rows >= 0)
    columns = [before.attributes.index(name) for name in after.attributes]
    sides = [_texts(before, there, columns)]
    sides += [_texts(after, rows[there], range(len(columns)))]
    names = list(after.attributes)
    if "category" in header and any(before.text):
        names.append("category")
        texts = (before, there), (after, rows[there])
        sides = [np.column_stack([side, [table.text[i] for i in where]])
                 for side, (table, where) in zip(sides, texts, strict=True)]  # fmt: skip
    i, j = np.nonzero(sides[0] != sides[1])
    cells = {
        "file_name": [before.names[there[k]] for k in i],
        "column": [names[k] for k in j],
        "exported": sides[0][i, j],
        "found": sides[1][i, j],
    }
    wanted = [*before.attributes, *(["category"] if any(before.text) else [])]
    known = {*wanted, "file_name", "category"}
    return Comparison(
        pd.DataFrame(cells, columns=list(DIFFERENCES)),
        tuple(before.names[k] for k in np.flatnonzero(rows < 0)),
        tuple(name for name in wanted if name not in header),
        tuple(name for name in after.names if name not in set(before.names)),
        tuple(name for name in header if name not in known),
        sides[0].size,
    )


def _texts(table: Table, rows: np.ndarray, columns: object) -> np.ndarray:
    """(rows, columns) str objects."""
    cells = table.labels[np.asarray(rows, np.int64)][:, np.asarray(list(columns), np.int64)]
    return np.array(["0", "1", ""], object)[cells]


def _check_untouched(exported: Path) -> None:
    said = read_manifest(manifest_of(exported)) or {}
    for entry in said.get("files", []):
        is_it = entry["name"] == exported.name and exported.is_file()
        if is_it and fingerprint(exported)["sha256"] != entry["sha256"]:
            raise ValueError(
                f"--against: {exported} was changed since it was exported (see its manifest); "
                "export again, to another file"
            )


def _read(path: Path, known: tuple[str, ...] | None) -> tuple[Table, list[str]]:
    """A table and all of its columns' names; ``known`` are the attributes to look for."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; name a CSV or Parquet file")
    findings = Findings()
    if path.suffix.lower() == ".parquet":
        table, header = _read_parquet(path, known)
    else:
        table = read_table(path, "category", known, findings)
        header = _header(path)
    table = without_repeats(table, findings)
    if findings.errors:
        raise ValueError(findings.errors[0])
    return table, header


def _header(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8-sig")
    rows = csv.reader(io.StringIO(text, newline=""))
    first = next(row for row in rows if any(cell.strip() for cell in row))
    return [column_name(name) for name in first]


def _read_parquet(path: Path, known: tuple[str, ...] | None) -> tuple[Table, list[str]]:
    try:
        frame = pq.read_table(path).to_pandas()
    except (OSError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path.name}: not a readable Parquet file ({reason})") from None
    frame.columns = [column_name(str(name)) for name in frame.columns]
    header = list(frame.columns)
    if "file_name" not in header or len(set(header)) < len(header):
        raise ValueError(f"{path.name}: needs one column file_name, and no column twice")
    names = [name for name in header if name not in ("file_name", "category")]
    attributes = tuple(names if known is None else [name for name in known if name in header])
    if not attributes:
        raise DatasetError(f"{path.name}: no attribute among the columns; export it again")
    labels = np.column_stack([_codes(path, name, frame[name]) for name in attributes])
    text = frame["category"] if "category" in header else pd.Series([""] * len(frame))
    texts = [column_name(" ".join(str(t).split())) for t in text.fillna("")]
    images = [tidy_name(str(name)) for name in frame["file_name"]]
    rows = list(range(1, len(images) + 1))
    return Table(path.name, images, rows, attributes, labels.astype(np.int8), texts), header


def _codes(path: Path, name: str, column: pd.Series) -> np.ndarray:
    """(n,) int8 of numbers, truth values or texts."""
    blank = column.isna() | (column.astype(str).str.strip() == "")
    numbers = pd.to_numeric(column.where(~blank), errors="coerce").astype(float)
    wrong = ~blank & ~numbers.isin([0.0, 1.0])
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{path.name}, row {at + 1}, column {quote(name)}: a label is 0, 1 or null, not "
            f"{quote(column.iloc[at])}"
        )
    return numbers.fillna(-1).to_numpy(np.int8)
