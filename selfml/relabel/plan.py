"""The plan of a relabelling: every image once, in shards that never change.

A shard is a row group of ``plan.parquet``: so many images that follow each other in the source. It
is written once, before any work; whoever works on a shard, here or on another machine, reads it
from there, and a stopped run goes on with the same shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from selfml.data.messages import DatasetError
from selfml.relabel.source import Listed, Row, iter_rows, unlisted
from selfml.run import damaged

PLAN_FILE = "plan.parquet"
SHARD_IMAGES = 2048  # sixteen batches; a shard's results are some ten MB (our choice)
SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("file", pa.string()),
        ("row", pa.int64()),
        ("category", pa.string()),
        ("given", pa.binary()),
        ("error", pa.string()),
    ]
)


@dataclass(frozen=True)
class Listing:
    """How a source was listed.

    Attributes
    ----------
    sha256 : str
        Of the plan.
    table : str
        Name of the table that lists a folder's image files; empty where none does.
    n_unlisted : int
        Image files of the folder that this table does not list.
    """

    sha256: str
    table: str
    n_unlisted: int


def write_plan(source: Path, attributes: list[str], path: Path, shard_images: int) -> Listing:
    """List a source into ``path``, shard by shard.

    Raises
    ------
    DatasetError
        Where the source cannot be read, or has no image.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    listed = Listed()
    rows, n = iter_rows(source, attributes, listed), 0
    try:
        with pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
            while shard := list(islice(rows, shard_images)):
                columns = {name: [getattr(row, name) for row in shard] for name in SCHEMA.names}
                writer.write_table(pa.table(columns, schema=SCHEMA), row_group_size=shard_images)
                n += len(shard)
        if not n:
            raise DatasetError(f"{source}: has no image in it")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Listing(sha256, *unlisted(source, listed))


class Plan:
    """Reads a plan; keeps nothing but its footer in memory."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            raise damaged(path, error) from error

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return self._file.num_row_groups

    @property
    def n_images(self) -> int:
        """How many images there are, readable or not."""
        return self._file.metadata.num_rows

    @cached_property
    def sizes(self) -> list[int]:
        """Images of each shard."""
        return [self._file.metadata.row_group(i).num_rows for i in range(self.n_shards)]

    def shard(self, index: int) -> list[Row]:
        """The images of one shard."""
        return [Row(**fields) for fields in self._file.read_row_group(index).to_pylist()]

    def __iter__(self) -> Iterator[list[Row]]:
        return (self.shard(index) for index in range(self.n_shards))
