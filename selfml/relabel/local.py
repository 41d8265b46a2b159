"""The engine of one model: shard after shard, photos decoded ahead.

While the extractor looks at a shard, a thread explains and writes the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
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
    with closing(Worker(out, n_threads=n_threads)) as worker:
        do_shards(worker, shards, check=check, advance=advance, done=done)


def do_shards(
    worker: Worker,
    shards: Iterable[int],
    *,
    check: Callable[[], None],
    advance: Advance,
    done: int = 0,
) -> None:
    """The same by a worker that is loaded."""
    before: Future | None = None
    with ThreadPoolExecutor(1) as writer, closing(worker.look(shards, check)) as looks:
        for looked in looks:
            check()
            if before is not None:
                done += before.result()[0]
                advance(done)
            before = writer.submit(worker.write, looked)
        if before is not None:
            advance(done + before.result()[0])
