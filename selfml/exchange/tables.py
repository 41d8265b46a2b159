"""The table of labels as CSV and as Parquet: the input's own rows and columns, corrected."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.corrections import neutralise, restore
from selfml.data.dataset import Dataset
from selfml.data.tables import column_name, tidy_name
from selfml.exchange.content import Corrections

LABELS = {"": None, "0": 0, "1": 1, "0.0": 0, "1.0": 1}


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """A CSV in UTF-8 with LF."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue().encode("utf-8")


def labels_csv(content: Corrections) -> bytes:
    """The rows as they are; no cell is a formula to a spreadsheet."""
    return csv_bytes([neutralise(cell) for cell in row] for row in content.rows)


def parquet_bytes(content: Corrections) -> bytes:
    """The rows and columns of the CSV; labels as int8 with null for blank, other cells as text.

    Names are as the shop has them, for nothing runs a formula out of a Parquet file.
    """
    header, *rows = content.rows
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
    names = [column_name(name) for name in header]
    attributes = set(content.attributes)
    arrays = [
        pa.array([LABELS[cell.strip()] for cell in cells], pa.int8())
        if name in attributes
        else pa.array([cell.strip() or None for cell in cells], pa.string())
        for name, cells in zip(names, columns, strict=True)
    ]
    return table_bytes(pa.Table.from_arrays(arrays, names=names))


def table_bytes(table: pa.Table) -> bytes:
    """A Parquet file; the same table gives the same bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=65_536)
    return sink.getvalue().to_pybytes()


def corrected_rows(dataset: Dataset, corrected: np.ndarray) -> list[list[str]]:
    """The rows of the labels file, header first, with the (N, L) corrected cells put in.

    Cells that do not change stay as they were written, ``1.0`` too; names are without the
    apostrophe that guards them.
    """
    changed = corrected != dataset.labels_given
    text = dataset.labels_file.read_text(encoding="utf-8-sig")
    rows = [
        row
        for row in csv.reader(io.StringIO(text, newline=""))
        if any(cell.strip() for cell in row)
    ]
    header = [column_name(name) for name in rows[0]]
    columns = [header.index(name) for name in dataset.attributes]
    key = header.index("file_name")
    index = {name: i for i, name in enumerate(dataset.file_names)}
    result = [[restore(name) for name in rows[0]]]
    for row in rows[1:]:
        cells = [restore(cell) for cell in row]
        i = index.get(tidy_name(cells[key]))
        for j in np.flatnonzero(changed[i]) if i is not None else ():
            cells[columns[j]] = str(corrected[i, j])
        result.append(cells)
    return result
