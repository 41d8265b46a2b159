"""Scripted auditors: each claims, decides, sends again and undoes, and notes what it was told.

They go through what the page goes through (``dashboard.audit_queue`` over the audit store), without
a browser. In the end `compare` holds what they noted against the store.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from dashboard.audit_queue import Ahead, Desk, fetch, give_back
from dashboard.frames.audit import cell_of
from dashboard.frames.flips import FlipQuery
from selfml.decisions import DECISIONS, Cell, Store, StoreError, Written
from selfml.run import Run, catalogue_of

AGAIN = 0.1  # of the acts are sent twice, half of these at the same moment
UNDO = 0.03
OTHER_FILTER = 0.02
TRIES = 5  # at an act that the store refuses
QUERIES = (FlipQuery(), FlipQuery(direction="to_0"), FlipQuery(sort="doubt"))


@dataclass(frozen=True)
class Plan:
    """What one server's auditors do: on which run and store, for how long, how hastily."""

    run: str
    url: str
    names: tuple[str, ...]
    seconds: float
    pause_s: float  # on average, between two acts of one auditor
    seed: int = 0


@dataclass
class Act:
    """A decision that the store acknowledged, as its auditor noted it; times are in seconds."""

    auditor: str
    key: str
    image_id: str
    attribute: str
    decision: str
    offered_s: float  # when the item was claimed, and
    done_s: float  # when its decision was acknowledged, on the wall clock
    decide_s: float  # how long the acknowledgement took
    fetch_s: float = 0.0  # and the next item, where it had to be fetched
    undone: bool = False
    control: bool = False  # a flip of a verified image, which every auditor gets


@dataclass
class Notes:
    """What an auditor, or all of them, met."""

    acts: list[Act] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    n_empty: int = 0  # times that nothing could be claimed though something was left
    n_foreign: int = 0  # undos that took back something else than one's own last act
    cpu_s: float = 0.0  # what the servers' processes took, without the database's

    def add(self, other: Notes) -> None:
        """Take over what another noted."""
        self.acts += other.acts
        self.errors += other.errors
        self.n_empty += other.n_empty
        self.n_foreign += other.n_foreign
        self.cpu_s += other.cpu_s


class Auditor:
    """One person at one desk."""

    def __init__(self, run: Run, store: Store, name: str, pause_s: float, seed: int):
        self.rng = np.random.default_rng(seed)
        self.pause_s = pause_s
        self.notes = Notes()
        self.desk = Desk(run, store, catalogue_of(run), name, QUERIES[0])
        self.ahead: Ahead | None = None
        self.offered_s = 0.0

    def work(self, until_s: float) -> None:
        """Decide, with pauses, until a moment of ``time.monotonic``."""
        time.sleep(self.rng.uniform(0, self.pause_s))
        while time.monotonic() < until_s:
            chance = self.rng.random()
            if chance < UNDO:
                self._undo()
            elif chance < UNDO + OTHER_FILTER:
                self._other_filter()
            else:
                self._next_act()
            time.sleep(self.rng.exponential(self.pause_s))

    def _next_act(self) -> None:
        if not self._has_item() and not self._fetch():
            return
        flip = next(self.ahead.flips.itertuples())
        act = self._decide(cell_of(flip), str(self.rng.choice(DECISIONS)))
        if act is None:
            return
        name = f"{flip.image_index}-{flip.attribute_index}"
        act.control = self.desk.is_control(name)
        self.ahead.without(name)
        if not self._has_item():
            start = time.perf_counter()
            self._fetch()
            act.fetch_s = time.perf_counter() - start

    def _has_item(self) -> bool:
        return self.ahead is not None and self.ahead.is_of(self.desk) and len(self.ahead.flips) > 0

    def _fetch(self) -> bool:
        self.ahead = self._tried(fetch, self.desk)
        self.offered_s = time.time()
        if self.ahead is None:
            return False
        self.notes.n_empty += bool(self.ahead.flips.empty and self.ahead.n_left)
        return not self.ahead.flips.empty

    def _decide(self, cell: Cell, decision: str) -> Act | None:
        key, start = uuid.uuid4().hex, time.perf_counter()

        def send() -> Written | None:
            desk = self.desk
            return self._tried(
                desk.store.decide, desk.catalogue, [cell], decision,
                auditor=desk.auditor, run_id=desk.run_id, key=key,
            )  # fmt: skip

        chance = self.rng.random()
        other = threading.Thread(target=send)
        if chance < AGAIN / 2:
            other.start()
        written = send()
        took_s, done_s = time.perf_counter() - start, time.time()
        if chance < AGAIN / 2:
            other.join()
        elif chance < AGAIN:
            send()
        if written is None:
            return None
        act = Act(
            self.desk.auditor, key, cell.image_id, cell.attribute, decision,
            self.offered_s, done_s, took_s,
        )  # fmt: skip
        self.notes.acts.append(act)
        return act

    def _undo(self) -> None:
        undone = self._tried(self.desk.store.undo, self.desk.catalogue, self.desk.auditor)
        mine = next((act for act in reversed(self.notes.acts) if not act.undone), None)
        if mine is not None:
            mine.undone = True
        self.notes.n_foreign += (undone and undone.key) != (mine and mine.key)
        self.ahead = None

    def _other_filter(self) -> None:
        desk, query = self.desk, QUERIES[self.rng.integers(len(QUERIES))]
        if self.ahead is not None:
            self._tried(give_back, desk, self.ahead)
        self.desk = Desk(desk.run, desk.store, desk.catalogue, desk.auditor, query)
        self.ahead = None

    def _tried(self, act, *args, **kwargs):
        """Press again where the store refuses, as a person would; None in the end."""
        for _ in range(TRIES):
            try:
                return act(*args, **kwargs)
            except StoreError as error:
                self.notes.errors.append(str(error))
        return None


# ------------------------------------------------------------------------------------ servers
_together = None


def _share(barrier) -> None:
    global _together
    _together = barrier


def _serve(plan: Plan) -> Notes:
    """A server: its own store, a thread for each auditor."""
    run = Run(plan.run)
    with Store(plan.url) as store:
        auditors = [
            Auditor(run, store, name, plan.pause_s, plan.seed + n)
            for n, name in enumerate(plan.names)
        ]
        _together.wait(timeout=120)
        until_s, cpu_s = time.monotonic() + plan.seconds, time.process_time()
        threads = [threading.Thread(target=a.work, args=(until_s,)) for a in auditors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    notes = Notes(cpu_s=time.process_time() - cpu_s)
    for auditor in auditors:
        notes.add(auditor.notes)
    return notes


def audit(
    run: Path, url: str, n_auditors: int, n_servers: int, seconds: float, pause_s: float
) -> Notes:
    """Let them work, on several servers that open the same database at the same moment."""
    names = [f"auditor {k:02d}" for k in range(n_auditors)]
    plans = [
        Plan(str(run), url, tuple(names[k::n_servers]), seconds, pause_s, 1000 * k)
        for k in range(n_servers)
    ]
    context = multiprocessing.get_context("spawn")
    notes = Notes()
    with ProcessPoolExecutor(
        n_servers, context, initializer=_share, initargs=(context.Barrier(n_servers),)
    ) as pool:
        for found in pool.map(_serve, plans):
            notes.add(found)
    return notes


# ----------------------------------------------------------------------------------- checking
def compare(acts: Sequence[Act], history: pd.DataFrame) -> dict[str, int]:
    """What the auditors noted against ``Store.history``.

    Returns
    -------
    dict
        ``lost``: acknowledged and not there as it was acknowledged, or not taken back though that
        was acknowledged. ``doubled``: there without having been acknowledged, or more than once,
        or one cell standing twice by one auditor. ``crossed``: cells that two auditors decided,
        and cells that were offered to one while they were with another; control items, which are
        for everybody, left out.
    """
    columns = ["batch_key", "image_id", "attribute", "decision", "auditor", "taken_back"]
    noted = [(a.key, a.image_id, a.attribute, a.decision, a.auditor, a.undone) for a in acts]
    kept = list(map(tuple, history[columns].to_numpy(object)))
    once = set(kept)
    standing = history[~history["taken_back"].astype(bool)]
    for_all = {a.key for a in acts if a.control}
    # What one left unsure is offered to others, once it is not kept for that one any more.
    of_one = standing[~standing["batch_key"].isin(for_all) & (standing["decision"] != "unsure")]
    of_cell = of_one.groupby(["image_id", "attribute"])["auditor"]
    twice = standing.duplicated(["image_id", "attribute", "auditor"]).sum()
    return {
        "lost": sum(row not in once for row in noted),
        "doubled": len(kept) - len(once) + len({row[0] for row in once} - {a.key for a in acts})
        + int(twice),
        "crossed": int((of_cell.nunique() > 1).sum()) + _overlaps(a for a in acts if not a.control),
    }  # fmt: skip


def _overlaps(acts: Iterable[Act]) -> int:
    """Cells that somebody had been offered before another was done with them."""
    rows = sorted((a.image_id, a.attribute, a.offered_s, a.done_s, a.auditor) for a in acts)
    return sum(
        one[:2] == two[:2] and one[4] != two[4] and two[2] < one[3] for one, two in pairwise(rows)
    )
