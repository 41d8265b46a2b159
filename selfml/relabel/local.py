"""The engine of one process: shard after shard, photos decoded ahead in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from selfml.progress import Advance
from selfml.relabel.worker import Worker


def run_local(
    out: Path,
    shards: Iterable[int],
    *,
    check: Callable[[], None],
    advance: Advance,
    done: int = 0,
    n_threads: int | None = None,
) -> None:
    """Do shards in this process.

    Parameters
    ----------
    check : callable
        Called between batches; what it raises ends the work with no part half done.
    advance : callable
        Called with the number of images done, ``done`` at first.
    """
    worker = Worker(out, n_threads=n_threads)
    try:
        for shard in shards:
            check()
            n_images, _ = worker.do(shard, check)
            done += n_images
            advance(done)
    finally:
        worker.close()
