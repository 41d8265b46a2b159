"""Single rows of a Parquet file, by row group: what has none of them is not read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

MANY, FEW = 65_536, 8_192


def rows_together(table: str) -> int:
    """Rows of a row group of a run's table: few where single rows are asked for."""
    return FEW if table in ("flips", "images") else MANY


def read_rows(path: Path, rows: np.ndarray, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Rows of a file by their numbers, in the order asked for.

    Parameters
    ----------
    rows : (M,) int64
        A row may be asked for more than once.

    Raises
    ------
    IndexError, pyarrow.ArrowException
        Where the file has no such row.
    OSError, pyarrow.ArrowException, UnicodeDecodeError
        Where it cannot be read.
    """
    with pa.OSFile(str(path)) as source, pq.ParquetFile(source) as file:
        groups = range(file.num_row_groups)
        sizes = np.array([file.metadata.row_group(i).num_rows for i in groups], np.int64)
        ends = np.cumsum(sizes)
        used, group = np.unique(np.searchsorted(ends, rows, "right"), return_inverse=True)
        table = file.read_row_groups(used.tolist(), columns=columns)
        shift = np.cumsum(sizes[used]) - ends[used]  # from rows of the file to rows read
        return table.take(pa.array(rows + shift[group])).to_pandas()
