"""The benchmark's results on disk: one file for each finished cell, so that a stop loses little."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd

from selfml.files import write_atomic

NO_BUDGET = "-"
COLUMNS = {"method": "str", "budget": "str", "seed": "int64", "metric": "str", "value": "float64"}
"""Columns of a frame of results and their types."""


class Results:
    """Cells (method, budget, seed) under ``DIR/cells``, and all of them as one table.

    A file is there whole or not at all: it is written under a temporary name and renamed.

    Parameters
    ----------
    folder : path
        DIR; made when the first cell is added.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def path(self, method: str, budget: str | int, seed: int) -> Path:
        """File of a cell, ``<method>-<budget>-<seed>.parquet``; a "/" of a name is ``%2F``.

        Parameters
        ----------
        method : str
        budget : str or int
            A number of clean images, ``all``, or ``-`` where a method uses no clean labels.
        seed : int

        Raises
        ------
        ValueError
            For another budget.
        """
        text = str(budget)
        if text not in ("all", NO_BUDGET) and not (text.isascii() and text.isdigit()):
            raise ValueError(
                f"budget: must be a number of clean images, 'all' or '-', got {budget!r}"
            )
        return self.folder / "cells" / f"{quote(method, safe='')}-{text}-{int(seed)}.parquet"

    def has(self, method: str, budget: str | int, seed: int) -> bool:
        """Whether the cell is finished."""
        return self.path(method, budget, seed).exists()

    def add(
        self, method: str, budget: str | int, seed: int, rows: Iterable[tuple[str, float]]
    ) -> None:
        """Store a finished cell, in the place of an earlier one.

        Parameters
        ----------
        rows : iterable of (metric, value)

        Raises
        ------
        ValueError
            If a metric comes twice, or the budget is none.
        """
        path = self.path(method, budget, seed)
        rows = list(rows)
        metrics = [name for name, _ in rows]
        twice = sorted({name for name in metrics if metrics.count(name) > 1})
        if twice:
            raise ValueError(f"rows: a metric may come once; of {method} {twice[0]!r} came twice")
        frame = pd.DataFrame(
            {
                "method": method,
                "budget": str(budget),
                "seed": int(seed),
                "metric": metrics,
                "value": np.array([value for _, value in rows], np.float64),
            }
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _parquet(frame))

    def frame(self) -> pd.DataFrame:
        """Every finished cell: method, budget, seed, metric, value; no rows if there is none."""
        paths = sorted((self.folder / "cells").glob("*.parquet"))
        if not paths:
            return empty_frame()
        cells = [pd.read_parquet(path).astype(COLUMNS) for path in paths]
        return pd.concat(cells, ignore_index=True)[list(COLUMNS)]

    def write(self) -> Path:
        """Write :meth:`frame` to ``DIR/results.parquet``; returns its path."""
        path = self.folder / "results.parquet"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, _parquet(self.frame()))
        return path


def empty_frame() -> pd.DataFrame:
    """A frame of results without rows."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.astype(COLUMNS).to_parquet(buffer, index=False)
    return buffer.getvalue()
