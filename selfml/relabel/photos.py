"""The encoded images of a shard, one after the other, decoded some way ahead of the model."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from selfml.data.decoding import (
    JPEG_QUALITY,
    THUMBNAIL_PX,
    decode_upright,
    encode_jpeg,
    is_thumbnail,
    quiet_pillow,
    square,
)
from selfml.data.messages import UnreadableImage
from selfml.data.storage import checked_bytes, read_image_file
from selfml.relabel.source import Row, image_column

AT_ONCE = 8  # images that a thread is handed together: handing over costs as well
AHEAD = 256  # images that all decoding threads together may be ahead of the model
PARQUET_ROWS = 32  # images of a Parquet file in memory at a time
# Of an image's decoding so much is Python, which one thread runs at a time. Where images take
# little more (64 px: .26 ms), two threads wait for each other and need .40 ms an image.
PYTHON_S = 2e-4

Photo = tuple[np.ndarray, bytes] | UnreadableImage


class Photos:
    """Reads and decodes the images of rows, in their order; memory is bounded.

    Parameters
    ----------
    root : Path
        The folder that the rows' files are relative to, resolved.
    size_px : int
        Side of the squares.
    thumbnails : bool
        Also make thumbnails, from the same decode; else these are empty. They are JPEG, since WebP
        takes as long as a small network does; a JPEG that is as small already is its own.
    n_threads : int
        That decode, at most (Pillow releases the interpreter's lock): see `PYTHON_S`.
    """

    def __init__(self, root: Path, size_px: int, *, thumbnails: bool = True, n_threads: int = 2):
        self.root, self.size_px, self.thumbnails = root, size_px, thumbnails
        self.n_threads = max(1, n_threads)
        self._pool: ThreadPoolExecutor | None = None
        self._streams: dict[str, _Stream] = {}

    def close(self) -> None:
        """Let go of threads and files."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        for stream in self._streams.values():
            stream.close()
        self._streams = {}

    def decoded(self, rows: list[Row]) -> Iterator[Photo]:
        """Pixels (S, S, 3) uint8 and a thumbnail of each row, or why there are none."""
        waiting: deque[Future] = deque()
        with quiet_pillow():
            try:
                for start in range(0, len(rows), AT_ONCE):
                    some = [self._fetch(row) for row in rows[start : start + AT_ONCE]]
                    if self._pool is None:
                        yield from self._begin(some)
                        continue
                    waiting.append(self._pool.submit(list, map(self._attempt, some)))
                    if len(waiting) * AT_ONCE >= AHEAD:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _begin(self, some: list[Callable[[], bytes]]) -> list[Photo]:
        """The first photos, without threads: they tell how many are of use for the others."""
        photos, seconds = [], []
        for fetch in some:
            start = time.thread_time()
            photos.append(self._attempt(fetch))
            if not isinstance(photos[-1], UnreadableImage):
                seconds.append(time.thread_time() - start)
        if seconds:
            useful = int(np.median(seconds) / PYTHON_S)
            self._pool = ThreadPoolExecutor(max(1, min(self.n_threads, useful)))
        return photos

    def _attempt(self, fetch: Callable[[], bytes]) -> Photo:
        try:
            data = fetch()
            image = decode_upright(data, self.size_px)
            return square(image, self.size_px), self._thumbnail(data, image)
        except UnreadableImage as error:
            return error

    def _thumbnail(self, data: bytes, image: Image.Image) -> bytes:
        if not self.thumbnails:
            return b""
        if is_thumbnail(data, image, THUMBNAIL_PX):
            return data
        return encode_jpeg(image, THUMBNAIL_PX, JPEG_QUALITY)

    def _fetch(self, row: Row) -> Callable[[], bytes]:
        """What gives an image's bytes; a file is read by the thread that decodes it."""
        if row.error is not None:
            return partial(_refuse, row.error)
        if row.row < 0:
            return partial(read_image_file, self.root, row.file)
        if row.file not in self._streams:
            self._streams = {row.file: _Stream(self.root / row.file)}  # one file at a time
        try:
            return partial(checked_bytes, self._streams[row.file].read(row.row))
        except UnreadableImage as error:
            return partial(_refuse, str(error))


def _refuse(error: str) -> bytes:
    raise UnreadableImage(error)


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
