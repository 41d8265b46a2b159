"""Relabelling in tests: small shards, and what their parts say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.progress import Reporter
from selfml.relabel import parts
from selfml.relabel.start import Done, relabel

SHARD = 40
QUIET = Reporter(quiet=True)


def go(run: Path, source: Path, out: Path, **how) -> Done:
    sizes = {} if how.get("resume") else {"shard_images": SHARD}
    return relabel(run, source, out, reporter=QUIET, **{**sizes, **how})


def rows_of(out: Path) -> pd.DataFrame:
    """All parts, one after the other."""
    tables = [pq.read_table(path) for path in sorted((out / parts.PARTS).glob("*.parquet"))]
    return pa.concat_tables(tables).to_pandas()


def same_parts(one: Path, other: Path) -> None:
    names = sorted(path.name for path in (one / parts.PARTS).iterdir())
    assert names == sorted(path.name for path in (other / parts.PARTS).iterdir())
    for name in names:
        a, b = (pq.read_table(folder / parts.PARTS / name) for folder in (one, other))
        assert a.equals(b), name


def as_parquet(catalogue: Path, folder: Path, form: str) -> Path:
    """The catalogue in two Parquet files, of ten rows a group."""
    folder.mkdir()
    labels = pd.read_csv(catalogue / "labels.csv")
    data = [(catalogue / name).read_bytes() for name in labels["file_name"]]
    struct = [{"bytes": value, "path": None} for value in data]
    images = {"image": struct} if form == "struct" else {"image_bytes": data}
    table = pa.Table.from_pandas(labels, preserve_index=False)
    for name, values in images.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table.slice(0, 97), folder / "a.parquet", row_group_size=10)
    pq.write_table(table.slice(97), folder / "b.parquet", row_group_size=10)
    return folder
