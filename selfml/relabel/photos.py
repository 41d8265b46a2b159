"""The encoded images of a shard, one after the other, decoded some way ahead of the model."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.data.image_files import checked_bytes
from selfml.data.messages import UnreadableImage
from selfml.relabel.decoders import END_S, Decoder, Encoded, Photo
from selfml.relabel.source import Row, image_column

AT_ONCE = 16  # images that a process is handed together: handing over costs as well
AHEAD = 256  # images that all processes together may be ahead of the model, or more: `_ahead`
MOST = 32  # processes
PARQUET_ROWS = 32  # images of a Parquet file in memory at a time


class Photos:
    """Reads the images of rows and has them decoded, in their order; memory is bounded.

    Parameters
    ----------
    root : Path
        The folder that the rows' files are relative to, resolved.
    size_px : int
        Side of the squares.
    thumbnails : bool
        Also make thumbnails, from the same decode; else these are empty. They are JPEG, since WebP
        takes as long as a small network does; a JPEG that is as small already is its own.
    n_processes : int
        That decode; no more than `MOST` are of use to one model.

    Raises
    ------
    ChildProcessError
        In one line, where these cannot be started.
    """

    def __init__(self, root: Path, size_px: int, *, thumbnails: bool = True, n_processes: int = 2):
        self.root, self.thumbnails = root, thumbnails
        self._decoders: list[Decoder] = []
        self._idle: SimpleQueue[Decoder] = SimpleQueue()
        n = min(max(1, n_processes), MOST)
        self._pool = ThreadPoolExecutor(n)
        self._ahead = max(AHEAD, 2 * AT_ONCE * n)
        self._streams: dict[str, _Stream] = {}
        try:
            for _ in range(n):
                self._decoders.append(Decoder(root, size_px))
                self._idle.put(self._decoders[-1])
        except ChildProcessError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of processes, threads and files; a decoder that is stuck is ended."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end, idle = time.monotonic() + END_S, set()
        with suppress(Empty):
            while len(idle) < len(self._decoders):
                idle.add(self._idle.get(timeout=max(0.0, end - time.monotonic())))
        for decoder in self._decoders:
            if decoder not in idle:
                decoder.give_up()
        self._pool.shutdown(wait=True)
        for decoder in self._decoders:
            decoder.close()
        for stream in self._streams.values():
            stream.close()
        self._decoders, self._streams = [], {}

    def decoded(self, rows: Iterable[Row]) -> Iterator[Photo]:
        """Pixels (S, S, 3) uint8 and a thumbnail of each row, or why there are none.

        Rows are taken some way ahead of what is given back.
        """
        waiting: deque[Future] = deque()
        rows = iter(rows)
        try:
            while some := [self._encoded(row) for row in islice(rows, AT_ONCE)]:
                waiting.append(self._pool.submit(self._decode, some))
                if len(waiting) * AT_ONCE >= self._ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _decode(self, images: list[Encoded]) -> list[Photo]:
        decoder = self._idle.get()
        try:
            return decoder.decode(images, thumbnails=self.thumbnails)
        finally:
            self._idle.put(decoder)

    def _encoded(self, row: Row) -> Encoded:
        """An image as it is handed on; a file is read by the process that decodes it."""
        if row.error is not None:
            return UnreadableImage(row.error)
        if row.row < 0:
            return row.file
        if row.file not in self._streams:
            self._streams = {row.file: _Stream(self.root / row.file)}  # one file at a time
        try:
            return checked_bytes(self._streams[row.file].read(row.row))
        except UnreadableImage as error:
            return error


class _Stream:
    """The images of one Parquet file; reading on from where the last one was costs no skipping.

    What is damaged costs the images of its row group from there on, and no others.
    """

    def __init__(self, path: Path):
        self._file = pq.ParquetFile(path, pre_buffer=False)  # else a whole row group is in memory
        self._broken: dict[int, str] = {}
        self._column = image_column(self._file.schema_arrow, path.name)
        sizes = [
            self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self._at, self._batch, self._batches = 0, None, iter(())

    def close(self) -> None:
        self._batch, self._batches = None, iter(())
        self._file.close()

    def read(self, row: int) -> bytes | None:
        """The bytes of a row, None where it is null.

        Raises
        ------
        UnreadableImage
            Where the file cannot be read there.
        """
        group = self._group(row)
        if group in self._broken:
            raise UnreadableImage(self._broken[group])
        try:
            if self._batch is None or row < self._at or group != self._group(self._at):
                self._open(group)
            while row >= self._at + len(self._batch):
                self._at += len(self._batch)
                self._batch = next(self._batches)
        except (OSError, pa.ArrowException, StopIteration) as error:
            reason = " ".join(str(error).split())[:120] or "it is shorter than it says"
            self._broken[group] = f"the Parquet file cannot be read here: {reason}"
            self._batch = None
            raise UnreadableImage(self._broken[group]) from None
        return self._batch[row - self._at].as_py()

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1

    def _open(self, group: int) -> None:
        self._batches = self._images(group)
        self._at = int(self._starts[group])
        self._batch = next(self._batches)

    def _images(self, group: int) -> Iterator[pa.Array]:
        batches = self._file.iter_batches(PARQUET_ROWS, row_groups=[group], columns=[self._column])
        for batch in batches:
            column = batch.column(0)
            yield column.field("bytes") if pa.types.is_struct(column.type) else column
