"""Files of a run that grow by few rows at a time, and take their names when all of them are there.

:func:`whole` gives the place of a file until then; what was begun and not ended is not left there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.row_groups import rows_together


class GrowingTable:
    """A Parquet file whose row groups have some ``n_rows``, however few are added at a time."""

    def __init__(self, writer: pq.ParquetWriter, n_rows: int):
        self.writer, self.n_rows = writer, n_rows
        self.waiting: list[pa.Table] = []

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        self.waiting.append(table)
        if sum(map(len, self.waiting)) >= self.n_rows:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self.waiting:
            table = pa.concat_tables(self.waiting)
            self.writer.write_table(table, row_group_size=len(table))
        self.waiting = []


class GrowingArray:
    """An ``.npy`` file that grows by rows."""

    def __init__(self, file: BinaryIO, dtype: np.dtype):
        self.file, self.dtype = file, dtype

    def write(self, values: np.ndarray) -> None:
        """Append rows."""
        self.file.write(np.ascontiguousarray(values, self.dtype).tobytes())


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file that gets its name where nothing was raised."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def growing_file(path: Path) -> Iterator[BinaryIO]:
    """A file of bytes."""
    with whole(path) as temporary, open(temporary, "wb") as file:
        yield file


@contextmanager
def growing_table(folder: Path, name: str, schema: pa.Schema) -> Iterator[GrowingTable]:
    """The table ``name`` of the run in ``folder``."""
    with (
        whole(folder / f"{name}.parquet") as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        table = GrowingTable(writer, rows_together(name))
        yield table
        table.flush()


@contextmanager
def growing_array(path: Path, shape: tuple[int, int], dtype: np.dtype) -> Iterator[GrowingArray]:
    """An array that in the end has this shape."""
    with growing_file(path) as file:
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": shape,
        }
        np.lib.format.write_array_header_1_0(file, header)
        yield GrowingArray(file, dtype)
