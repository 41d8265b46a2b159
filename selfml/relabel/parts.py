"""The results of a relabelling: one Parquet part a shard, whole or not there at all.

A part has its name only once every byte of it is on the disk, and the name is that of its shard. So
whoever is killed, and whenever, loses at most the shards that were being worked on; and a shard
that two workers did, as happens when one was thought to be lost, is there once. Row i of a part is
row i of its shard: an image that cannot be read is a row with an ``error`` and nulls.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.files import write_atomic
from selfml.relabel.source import Row
from selfml.run import damaged

PARTS, MANIFEST_FILE = "parts", "relabel.json"


def part_schema(n_attributes: int, n_features: int) -> pa.Schema:
    """The columns of a part; lists have one number an attribute, in the run's order."""

    def each(kind: pa.DataType) -> pa.DataType:
        return pa.list_(kind, n_attributes)

    return pa.schema(
        [
            ("image_id", pa.string()),
            ("category", pa.string()),
            ("error", pa.string()),  # why the image could not be read; all that follows is null
            ("basis_index", pa.list_(pa.int32())),  # sparse coefficients: which basis images
            ("coefficient", pa.list_(pa.float32())),  # and how much of each; they add up to one
            ("label_score", each(pa.float32())),  # Y_B c, 0..1
            ("given", each(pa.int8())),  # -1 unknown
            ("corrected", each(pa.int8())),  # -1 where no label was given
            ("strict", each(pa.int8())),  # the same by strict evidence
            ("score", each(pa.float32())),  # log-odds of the evidence that decides
            ("confidence", each(pa.float32())),  # that what it says is right
            ("auto_accept", each(pa.bool_())),  # never, of unseen images: selfml.relabel.model
            ("hull_distance", pa.float32()),
            ("term_classifier", each(pa.float32())),
            ("term_residual", each(pa.float32())),
            ("features", pa.list_(pa.float16(), n_features)),
            ("thumbnail", pa.binary()),  # JPEG
        ]
    )


def part_path(out: Path, shard: int) -> Path:
    """Where the part of a shard is or will be."""
    return out / PARTS / f"part-{shard:06d}.parquet"


def finished_shards(out: Path) -> set[int]:
    """The shards whose part is there."""
    names = (path.stem for path in (out / PARTS).glob("part-*.parquet"))
    return {int(name.removeprefix("part-")) for name in names}


def write_part(table: pa.Table, path: Path) -> None:
    """Write a part so that it is whole once it has its name, also after a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    plain = ("image_id", "thumbnail", "features")  # nothing repeats in them
    packing = {name: "none" if name in plain else "zstd" for name in table.schema.names}
    how = {"use_dictionary": ["category", "error"], "write_statistics": False}
    try:
        pq.write_table(table, temporary, compression=packing, **how)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_part(out: Path, shard: int, columns: list[str] | None = None) -> pa.Table:
    """A part, or some columns of it.

    Raises
    ------
    RunError
        Where it cannot be read.
    """
    path = part_path(out, shard)
    try:
        return pq.read_table(path, columns=columns, memory_map=True)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, error) from error


def read_manifest(out: Path) -> dict[str, Any]:
    """What a relabelling was begun with; empty where there is none.

    Raises
    ------
    RunError
        Where it cannot be read.
    """
    path = out / MANIFEST_FILE
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error


def write_manifest(out: Path, fields: dict[str, Any]) -> None:
    """Write what a relabelling is begun with."""
    write_atomic(out / MANIFEST_FILE, json.dumps(fields, indent=1, ensure_ascii=False).encode())


def spread(values: np.ndarray, where: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Rows (m, L) as fixed lists, at the places ``where`` (n,) bool; null elsewhere."""
    width = values.shape[1]
    full = np.zeros((len(where), width), values.dtype)
    full[where] = values
    flat = pa.array(full.ravel(), kind)
    return pa.FixedSizeListArray.from_arrays(flat, width, mask=pa.array(~where))


def given_labels(rows: list[Row]) -> np.ndarray:
    """Labels (n, L) int8 of rows, -1 unknown."""
    return np.stack([np.frombuffer(row.given, np.int8) for row in rows])


def iter_shards(n_shards: int, done: set[int]) -> Iterator[int]:
    """The shards that are still to be done."""
    return (index for index in range(n_shards) if index not in done)
