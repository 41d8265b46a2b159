"""Which cells are decided, kept in memory and brought up to date by what was added since.

The store only ever grows, and the audit desk asks what is left at every fetch: reading all of it
each time would take longer with every decision.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from selfml.decision_changes import NOTHING_KNOWN, Known
from selfml.decisions import Store, StoreError

ANEW_S = 3600.0  # our choice: everything is read anew, should an act have come later than expected


class DecisionIndex:
    """What is decided of a catalogue's cells; threads may share it, and ask one after the other.

    Parameters
    ----------
    keys_of : callable
        From cells, a frame with image_id and attribute, to a number (int64) for each, the same at
        any time; -1 for those that are of no interest.

    Notes
    -----
    Keeps 14 bytes for each cell and auditor. Reading everything, at first and once an hour, takes
    some 20 microseconds and, meanwhile, half a kilobyte for each.
    """

    def __init__(self, store: Store, catalogue: str, keys_of: Callable[[pd.DataFrame], np.ndarray]):
        self.store, self.catalogue, self.keys_of = store, catalogue, keys_of
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._known: Known = NOTHING_KNOWN
        self._auditors: dict[str, int] = {}
        self._key = np.zeros(0, np.int64)
        self._auditor = np.zeros(0, np.int32)
        self._unsure, self._counts = np.zeros(0, bool), np.zeros(0, bool)
        self._anew_s = time.monotonic() + ANEW_S

    def done(self, auditor: str) -> tuple[np.ndarray, np.ndarray]:
        """Keys of cells that need no decision of an auditor, and of those they spoke of themselves.

        The first are those that anybody decided, or that the auditor left unsure.

        Returns
        -------
        two arrays of int64
            In no order; the first may have a key several times.

        Raises
        ------
        StoreError
            When the store does not answer, or not to those who asked before within its time.
        """
        limit_s = self.store.answer_s
        if not self._lock.acquire(timeout=limit_s if limit_s < threading.TIMEOUT_MAX else -1):
            raise StoreError(f"the store of decisions took more than {limit_s:g} s; try again")
        try:
            self._update()
            mine = self._auditor == self._auditors.get(auditor, -1)
            done = self._counts & (~self._unsure | mine)
            return self._key[done], self._key[mine]
        finally:
            self._lock.release()

    def _update(self) -> None:
        if time.monotonic() > self._anew_s:
            self._forget()
        said = self.store.spoken(self.catalogue, self._known)
        self._known = NOTHING_KNOWN  # until all of it is taken in
        if said.cells is None:
            self._forget()
            self._add(said.rows, None)
        elif said.cells:
            changed = self.keys_of(pd.DataFrame(said.cells, columns=["image_id", "attribute"]))
            keep = ~np.isin(self._key, changed)
            for name in ("_key", "_auditor", "_unsure", "_counts"):
                setattr(self, name, getattr(self, name)[keep])
            self._add(said.rows, changed)
        self._known = said.known

    def _add(self, rows: list[tuple], changed: np.ndarray | None) -> None:
        """Take rows in, of cells that changed or, for None, of all."""
        columns = ["image_id", "attribute", "auditor", "unsure", "counts"]
        frame = pd.DataFrame(rows, columns=columns)
        key = self.keys_of(frame)
        wanted = key >= 0 if changed is None else np.isin(key, changed[changed >= 0])
        names = frame["auditor"].to_numpy()[wanted]
        for name in dict.fromkeys(names):
            self._auditors.setdefault(name, len(self._auditors))
        auditor = np.array([self._auditors[name] for name in names], np.int32)
        self._key = np.concatenate([self._key, key[wanted]])
        self._auditor = np.concatenate([self._auditor, auditor])
        self._unsure = np.concatenate([self._unsure, frame["unsure"].to_numpy(bool)[wanted]])
        self._counts = np.concatenate([self._counts, frame["counts"].to_numpy(bool)[wanted]])
