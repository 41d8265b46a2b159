"""The run directory: what training writes and the dashboard reads.

Row i is ``image_index`` i in every table and array of a run. Every file is whole once it
has its name (written beside it, then renamed), so a run can be read while it grows; a
complete run never changes. Axes: N images, K basis atoms, L attributes, d features.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from selfml.files import renamed, write_atomic
from selfml.row_groups import read_rows, rows_together
from selfml.run_format import ARRAYS, READABLE_VERSIONS, SCHEMA_VERSION, SCHEMAS, STATUSES


class RunError(ValueError):
    """A run directory that is missing, damaged or of another schema version (one line)."""


def damaged(path: Path | str, why: object) -> RunError:
    """The error of a file that is there and cannot be read."""
    reason = str(why).strip().partition("\n")[0] or type(why).__name__
    return RunError(
        f"{path}: cannot be read, it is damaged or was cut off ({reason}); copy the run again from "
        "where it was trained, or train it again"
    )


def utc_now() -> str:
    """The present time in UTC, ISO 8601, seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunWriter:
    """Writes a run directory; one writer a run.

    Parameters
    ----------
    path : Path
        The run directory; made when missing. An existing run is continued, never emptied.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        (self.path / "model").mkdir(parents=True, exist_ok=True)
        info_file = self.path / "run.json"
        self.info: dict[str, Any] = json.loads(info_file.read_text()) if info_file.exists() else {}

    def update(self, **fields: Any) -> None:
        """Set fields of ``run.json`` and replace the file."""
        if fields.get("status", "running") not in STATUSES:
            raise ValueError(f"status: must be one of {STATUSES}, got {fields['status']!r}")
        created = {"schema_version": SCHEMA_VERSION, "run_id": self.path.name, "created": utc_now()}
        self.info = {**created, **self.info, **fields, "updated": utc_now()}
        text = json.dumps(self.info, indent=1, ensure_ascii=False)
        write_atomic(self.path / "run.json", text.encode())

    def append_history(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line a value to ``history.jsonl`` (one write, so lines stay whole)."""
        time = utc_now()
        lines = [
            json.dumps(
                {"time": time, "stage": stage, "step": int(step), "name": k, "value": float(v)}
            )
            for k, v in values.items()
        ]
        with open(self.path / "history.jsonl", "a", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))

    def drop_history(self, stage: str, after_step: int) -> None:
        """Remove a stage's lines beyond ``after_step``, as a resumed run writes them again."""
        file = self.path / "history.jsonl"
        if not file.exists():
            return
        rows = (json.loads(line) for line in file.read_text().splitlines() if line.endswith("}"))
        kept = [r for r in rows if not (r["stage"] == stage and r["step"] > after_step)]
        write_atomic(file, "".join(json.dumps(r) + "\n" for r in kept).encode())

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run, such as ``config.toml``."""
        write_atomic(self.path / name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a binary file of the run, such as ``thumbnails.bin``."""
        write_atomic(self.path / name, data)

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write ``name.parquet``; columns must be exactly those of ``SCHEMAS[name]``."""
        schema = SCHEMAS[name]
        missing, extra = set(schema.names) - set(frame), set(frame) - set(schema.names)
        if missing or extra:
            raise ValueError(f"{name}: missing columns {sorted(missing)}, extra {sorted(extra)}")
        table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=rows_together(name))
        write_atomic(self.path / f"{name}.parquet", sink.getvalue().to_pybytes())

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write ``name.npy`` in the dtype of ``ARRAYS[name]`` (a two-axis array)."""
        dtype, axes = ARRAYS[name]
        if array.ndim != len(axes):
            raise ValueError(f"{name}: must have axes {axes}, got shape {array.shape}")
        temporary = self.path / f".{name}.npy.tmp"
        with renamed(temporary, self.path / f"{name}.npy") as file:
            np.save(file, np.ascontiguousarray(array, dtype=dtype))


class Run:
    """Reads a run directory; nothing is loaded before it is asked for.

    Raises
    ------
    RunError
        When the folder is no run, or was written by another schema version.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.info: dict[str, Any] = json.loads((self.path / "run.json").read_text("utf-8"))
            if not isinstance(self.info, dict):
                raise ValueError("run.json: must be an object")
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.path}: not a run directory (no readable run.json); "
                "name a folder that `selfml train` wrote"
            ) from error
        version = self.info.get("schema_version")
        if version not in READABLE_VERSIONS:
            known = " and ".join(map(str, READABLE_VERSIONS))
            raise RunError(
                f"{self.path}: schema version {version}, this program reads {known}; "
                "train it again or use the release that wrote it"
            )

    @property
    def run_id(self) -> str:
        """The folder's name when the run was made."""
        return self.info["run_id"]

    @property
    def is_complete(self) -> bool:
        """Whether training has finished."""
        return self.info.get("status") == "complete"

    @property
    def is_stopped(self) -> bool:
        """Whether somebody stopped training, and nobody went on since."""
        return self.info.get("status") == "running" and bool(self.info.get("stopped"))

    def has(self, *names: str) -> bool:
        """Whether these tables or arrays are there (``"flips"``, ``"features"``, ...)."""
        return all(
            (self.path / f"{n}.parquet").exists() or (self.path / f"{n}.npy").exists()
            for n in names
        )

    def table_path(self, name: str) -> Path:
        """Path of a table, for readers such as DuckDB."""
        return self.path / f"{name}.parquet"

    def table(
        self, name: str, columns: Sequence[str] | None = None, *, below_image: int | None = None
    ) -> pd.DataFrame:
        """A table as a frame.

        ``columns`` limits what is read, and ``below_image`` the rows, to an ``image_index`` below.
        """
        first = None if below_image is None else [("image_index", "<", int(below_image))]
        if name not in SCHEMAS:
            raise KeyError(f"no table {name!r}; there are {sorted(SCHEMAS)}")
        if first and "image_index" not in SCHEMAS[name].names:
            raise KeyError(f"{name}: has no image_index")
        path = self._there(f"{name}.parquet")
        try:
            with pa.OSFile(str(path)) as file:  # opened once: a path is opened again for the data
                return pq.read_table(file, columns=columns, filters=first).to_pandas()
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise damaged(path, error) from error

    def table_rows(
        self, name: str, rows: np.ndarray, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Some rows of a table, in the order asked for; reads only the row groups that hold them.

        Parameters
        ----------
        rows : (M,) int
            Numbers of rows in the file; a row may be asked for more than once.

        Raises
        ------
        RunError
            When the file is missing or damaged, or has no such row.
        """
        path = self._there(f"{name}.parquet")
        try:
            return read_rows(path, np.asarray(rows, np.int64), columns)
        except (pa.ArrowException, IndexError, OSError, ValueError, KeyError) as error:
            raise damaged(path, error) from error

    def n_rows(self, name: str) -> int:
        """How many rows a table has; reads nothing but the end of its file.

        Raises
        ------
        RunError
            When the file is missing or damaged.
        """
        path = self._there(f"{name}.parquet")
        try:
            return pq.read_metadata(path).num_rows
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error

    def _there(self, name: str) -> Path:
        """Path of a file that must be there."""
        path = self.path / name
        if path.exists():
            return path
        if self.is_complete:
            raise RunError(
                f"{path}: is missing, though training has finished; copy the run again from where "
                "it was trained, or train it again"
            )
        raise RunError(f"{path}: not written yet (status: {self.info.get('status')})")

    def array(self, name: str) -> np.ndarray:
        """An array, memory-mapped and read-only."""
        if name not in ARRAYS:
            raise KeyError(f"no array {name!r}; there are {sorted(ARRAYS)}")
        path = self._there(f"{name}.npy")
        try:
            return np.load(path, mmap_mode="r")
        except (ValueError, OSError, EOFError) as error:
            raise damaged(path, error) from error

    def coefficients_of(self, image_index: int) -> pd.DataFrame:
        """basis_index and coefficient of one image; reads only the row groups that hold it."""
        path = self._there("coefficients.parquet")
        wanted = [("image_index", "==", int(image_index))]
        try:
            with pa.OSFile(str(path)) as file:
                columns = ["basis_index", "coefficient"]
                return pq.read_table(file, columns=columns, filters=wanted).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, error) from error

    def coefficients(self) -> sparse.csr_matrix:
        """All coefficients, (N, K) CSR float64; rows add up to one."""
        frame = self.table("coefficients")
        shape = (int(self.info["n_images"]), int(self.info["n_atoms"]))
        index = (frame["image_index"].to_numpy(), frame["basis_index"].to_numpy())
        return sparse.csr_matrix((frame["coefficient"].to_numpy(np.float64), index), shape=shape)

    def text(self, name: str) -> str:
        """A text file of the run, such as ``config.toml``."""
        path = self._there(name)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise damaged(path, error) from error

    def history(self) -> pd.DataFrame:
        """Columns time, stage, step, name, value; a line that is not whole is left out.

        The last one may still be being written, and one in the middle was cut off by a stop.
        """
        columns = ["time", "stage", "step", "name", "value"]
        file = self.path / "history.jsonl"
        rows: Iterable[dict[str, Any]] = ()
        if file.exists():
            lines = file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
            rows = [row for row in map(_history_row, lines) if row]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def attributes(self) -> list[str]:
        """The L attribute names, by attribute_index."""
        return self.table("attributes", ["name"])["name"].tolist()

    def thumbnail(self, offset: int, n_bytes: int) -> bytes:
        """The WebP thumbnail at ``thumbnail_offset`` of ``thumbnails.bin``."""
        with open(self.path / "thumbnails.bin", "rb") as file:
            file.seek(offset)
            return file.read(n_bytes)


def _history_row(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def list_runs(folder: str | Path) -> list[Run]:
    """The readable runs directly in ``folder``, newest first; other folders are passed over.

    So are those that begin with a dot: they are still being written (`selfml.derived`).
    """
    found = []
    for entry in Path(folder).iterdir() if Path(folder).is_dir() else ():
        if (entry / "run.json").exists() and not entry.name.startswith("."):
            try:
                found.append(Run(entry))
            except RunError:
                continue
    return sorted(found, key=lambda run: run.info.get("created", ""), reverse=True)


def catalogue_of(run: Run) -> str:
    """The name under which decisions on a run's flips are kept.

    ``data.catalogue`` of its training; where that is empty, the path of the dataset folder, so
    that two shops' folders of one name are two catalogues.
    """
    dataset = run.info.get("dataset", {})
    named = str(dataset.get("catalogue") or dataset.get("path") or "")
    return named or str(run.info.get("run_id") or run.path.name)
