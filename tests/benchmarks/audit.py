"""Many auditors at once: what gets lost, doubled or crossed, and how long an act takes.

    python -m tests.benchmarks.audit --auditors 50 --seconds 300 --servers 2

Starts a PostgreSQL of its own (``--database sqlite`` takes a file instead), and as many processes
as servers, each with its own connection; the auditors are spread over them and go through what the
page goes through, without a browser. Each presses again now and then, sends one act twice, undoes,
and changes the filter. An act is from the press until the decision is kept and the next item is at
hand: its limit is our choice, and leaves a third of the 300 ms that a reader waits to the drawing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dashboard.audit_queue import Desk
from dashboard.frames.audit import cells_of, queue
from dashboard.frames.flips import FlipQuery
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.benchmarks.auditors import Notes, audit, compare
from tests.benchmarks.dashboard import Row, verdicts
from tests.benchmarks.worlds import build_run
from tests.postgres import running_postgres

ACT_MS = 200
BULK, BULK_S = 10_000, 2
AUDITORS = {"postgresql": 50, "sqlite": 8}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=tuple(AUDITORS), default="postgresql")
    parser.add_argument("--auditors", type=int, help="how many (50; 8 on SQLite)")
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--servers", type=int, default=2, help="processes that serve them")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between acts, on average")
    parser.add_argument("--images", type=int, default=12_000, help="of the drawn run")
    parser.add_argument("--work", type=Path, help="folder for the run (default: a temporary one)")
    return parser.parse_args()


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'decisions.db'}"
        return
    with running_postgres() as server:
        yield server.new_database()


def measure(
    run: Path, url: str, n_auditors: int, n_servers: int, seconds: float, pause_s: float
) -> tuple[Notes, list[Row]]:
    """Let them work, compare with the store, decide many at once; what was found beside limits."""
    notes = audit(run, url, n_auditors, n_servers, seconds, pause_s)
    with Store(url) as store:
        found = compare(notes.acts, store.history(catalogue_of(Run(run))))
        rows: list[Row] = [(name, float(n), "", 0) for name, n in found.items()]
        rows.append(("taken back that was somebody else's", float(notes.n_foreign), "", 0))
        rows.append(("acts that the store refused", float(len(notes.errors)), "", 0))
        return notes, rows + times(notes) + bulk(Run(run), store)


def times(notes: Notes) -> list[Row]:
    """Milliseconds of acts and of their parts."""
    decide = np.array([act.decide_s for act in notes.acts] or [np.nan]) * 1000
    fetch = np.array([act.fetch_s for act in notes.acts if act.fetch_s] or [np.nan]) * 1000
    act = np.array([act.decide_s + act.fetch_s for act in notes.acts] or [np.nan]) * 1000
    nothing, n = float("inf"), max(1, len(notes.acts))
    return [
        ("an act: p50", float(np.percentile(act, 50)), "ms", nothing),
        ("an act: p95", float(np.percentile(act, 95)), "ms", ACT_MS),
        ("an act: longest", float(act.max()), "ms", nothing),
        ("of it the decision: p95", float(np.percentile(decide, 95)), "ms", nothing),
        ("of every tenth the next ten items: p95", float(np.percentile(fetch, 95)), "ms", nothing),
        ("processors' time of the servers, an act", 1000 * notes.cpu_s / n, "ms", nothing),
        ("found nothing to claim though some was left", float(notes.n_empty), "", nothing),
    ]


def bulk(run: Run, store: Store) -> list[Row]:
    """Seconds of many decisions at once, among all that are there by now, and of undoing them."""
    desk = Desk(run, store, catalogue_of(run), "bulk", FlipQuery())
    cells = cells_of(queue(run, desk.query, desk.standing()[0], BULK))
    if not cells:
        return []
    rows: list[Row] = []
    start = time.perf_counter()
    store.decide(desk.catalogue, cells, "accept", auditor=desk.auditor, run_id=desk.run_id)
    rows.append((f"{len(cells):,} decisions at once", time.perf_counter() - start, "s", BULK_S))
    start = time.perf_counter()
    store.undo(desk.catalogue, desk.auditor)
    rows.append(("and taken back", time.perf_counter() - start, "s", BULK_S))
    return rows


def main() -> None:
    """Build, measure, print."""
    chosen = arguments()
    n_auditors = chosen.auditors or AUDITORS[chosen.database]
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory(prefix="selfml-audit-") as folder:
        work = chosen.work or Path(folder)
        run = build_run(work / f"drawn-{chosen.images}", chosen.images, chosen.images // 100)
        with database(chosen.database, Path(folder)) as url:
            notes, rows = measure(
                run, url, n_auditors, chosen.servers, chosen.seconds, chosen.pause
            )
    n, n_undone = len(notes.acts), sum(act.undone for act in notes.acts)
    print(
        f"{chosen.database}: {n_auditors} auditors on {chosen.servers} servers for "
        f"{chosen.seconds:g} s, {n:,} decisions ({60 * n / chosen.seconds:,.0f} a minute), "
        f"{n_undone:,} of them undone\n\n" + verdicts(rows)
    )
    for text in dict.fromkeys(notes.errors):
        print(text)
    print(f"\nload average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
