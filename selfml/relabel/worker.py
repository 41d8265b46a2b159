"""One shard from images to its part: what every engine calls, and all that an engine needs."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from selfml.data.messages import UnreadableImage
from selfml.extract import PREDICT_BATCH
from selfml.nn.fitting import keep_freed_memory
from selfml.relabel.decoders import Photo
from selfml.relabel.model import Predicted, Relabeller
from selfml.relabel.parts import (
    given_labels,
    part_path,
    part_schema,
    read_manifest,
    spread,
    write_part,
)
from selfml.relabel.photos import Photos
from selfml.relabel.plan import PLAN_FILE, Plan
from selfml.relabel.source import Row
from selfml.run import Run


@dataclass(frozen=True, eq=False)
class Looked:
    """What was seen of the images of a shard.

    Attributes
    ----------
    shard : int
    rows : list of Row
    seen : list of (n, ...) float32
        Of the readable ones, batch by batch: see `Relabeller.look`.
    thumbnails, errors : list
        One for each row, None where there is none.
    """

    shard: int
    rows: list[Row]
    seen: list[np.ndarray]
    thumbnails: list[bytes | None]
    errors: list[str | None]


class Worker:
    """Holds a loaded run and does shards of a relabelling that was begun in ``out``.

    Parameters
    ----------
    out : path
        With its manifest and its plan; the run and the source are where the manifest says, so on
        several machines all three must be on a disk that each of them sees under the same path.
    n_threads : int, optional
        Processors to use: so many processes decode, and half as many threads measure distances.
        Those that this process may use, by default.
    """

    def __init__(self, out: str | Path, *, n_threads: int | None = None):
        self.out = Path(out)
        begun = read_manifest(self.out)
        n_threads = n_threads or usable_processors()
        self.relabeller = Relabeller(
            Run(begun["run"]), coefficients=begun["coefficients"], threads=max(1, n_threads // 2)
        )
        self.plan = Plan(self.out / PLAN_FILE)
        self.photos = Photos(
            Path(begun["root"]),
            self.relabeller.size_px,
            thumbnails=begun["thumbnails"],
            n_processes=n_threads,
        )
        # After each product of matrices OpenBLAS's other threads wait, turning, for the next one:
        # tens of milliseconds of a processor that decodes meanwhile.
        self._blas = threadpool_limits(1, user_api="blas")
        n_features = self.relabeller.basis.shape[1]
        self.schema = part_schema(len(self.relabeller.attributes), n_features)
        keep_freed_memory()

    def close(self) -> None:
        """Let go of processes, threads and files."""
        self.photos.close()
        self._blas.restore_original_limits()

    def look_at(self, shard: int) -> Looked:
        """Decode the images of a shard and run the extractor on them."""
        with closing(self.look([shard], lambda: None)) as looks:
            return next(looks)

    def look(self, shards: Iterable[int], check: Callable[[], None]) -> Iterator[Looked]:
        """`look_at` one shard after the other.

        Photos of the next shard are decoded while the extractor looks at those of one. ``check`` is
        called between batches and may raise.
        """
        planned: deque[tuple[int, list[Row]]] = deque()

        def rows() -> Iterator[Row]:
            for shard in shards:
                planned.append((shard, self.plan.shard(shard)))
                yield from planned[-1][1]

        with closing(self.photos.decoded(rows())) as photos:
            for first in photos:
                shard, own = planned.popleft()
                yield self._looked(shard, own, chain([first], islice(photos, len(own) - 1)), check)

    def write(self, looked: Looked) -> tuple[int, int]:
        """Write the part of a shard; returns its images, and those of them with an error.

        May run in another thread while the next shard is looked at.
        """
        where = np.array([error is None for error in looked.errors])
        table = self._table(looked, where)
        write_part(table, part_path(self.out, looked.shard))
        return len(looked.rows), int((~where).sum())

    def _looked(
        self, shard: int, rows: list[Row], photos: Iterable[Photo], check: Callable[[], None]
    ) -> Looked:
        size = self.relabeller.size_px
        batch = np.zeros((PREDICT_BATCH, size, size, 3), np.uint8)
        n, seen, thumbnails, errors = 0, [], [], []
        for photo in photos:
            if isinstance(photo, UnreadableImage):
                thumbnails.append(None)
                errors.append(str(photo))
                continue
            batch[n], thumbnail = photo
            thumbnails.append(thumbnail or None)
            errors.append(None)
            n += 1
            if n == PREDICT_BATCH:
                check()
                seen.append(self.relabeller.look(batch))
                n = 0
        if n:
            seen.append(self.relabeller.look(batch[:n]))
        return Looked(shard, rows, seen, thumbnails, errors)

    def _table(self, looked: Looked, where: np.ndarray) -> pa.Table:
        rows = looked.rows
        columns: dict[str, pa.Array] = {
            "image_id": pa.array([row.image_id for row in rows], pa.string()),
            "category": pa.array([row.category for row in rows], pa.string()),
            "error": pa.array(looked.errors, pa.string()),
            "thumbnail": pa.array(looked.thumbnails, pa.binary()),
        }
        if where.any():
            used = [row for row, ok in zip(rows, where, strict=True) if ok]
            given = given_labels(used)
            categories = [row.category for row in used]
            said = self.relabeller.predict(np.concatenate(looked.seen), given, categories)
            columns |= self._said(said, given, where)
        missing = [name for name in self.schema.names if name not in columns]
        nulls = {name: pa.nulls(len(rows), self.schema.field(name).type) for name in missing}
        return pa.table({**columns, **nulls}).select(self.schema.names).cast(self.schema)

    def _said(self, said: Predicted, given: np.ndarray, where: np.ndarray) -> dict[str, pa.Array]:
        distance = np.zeros(len(where), np.float32)
        distance[where] = said.hull_distance
        index, coefficient = sparse_lists(said, where)
        return {
            "basis_index": index,
            "coefficient": coefficient,
            "label_score": spread(said.scores, where, pa.float32()),
            "given": spread(given, where, pa.int8()),
            "corrected": spread(said.corrected, where, pa.int8()),
            "strict": spread(said.strict, where, pa.int8()),
            "score": spread(said.deciding.astype(np.float32), where, pa.float32()),
            "confidence": spread(said.confidence, where, pa.float32()),
            "auto_accept": spread(np.zeros(given.shape, bool), where, pa.bool_()),
            "hull_distance": pa.array(distance, mask=~where),
            "term_classifier": spread(said.classifier, where, pa.float32()),
            "term_residual": spread(said.residual, where, pa.float32()),
            "features": spread(said.features.astype(np.float16), where, pa.float16()),
        }


def usable_processors() -> int:
    """How many processors this process may use; a container may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def sparse_lists(said: Predicted, where: np.ndarray) -> tuple[pa.ListArray, pa.ListArray]:
    """Indices and coefficients above zero of each image, as lists; null where there is none."""
    c = said.coefficients.tocsr()
    c.eliminate_zeros()
    c.sort_indices()
    counts = np.zeros(len(where), np.int32)
    counts[where] = np.diff(c.indptr)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    mask = pa.array(~where)
    return (
        pa.ListArray.from_arrays(offsets, pa.array(c.indices.astype(np.int32)), mask=mask),
        pa.ListArray.from_arrays(offsets, pa.array(c.data.astype(np.float32)), mask=mask),
    )
