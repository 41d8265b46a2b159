"""The queue of the audit desk: whose it is, what comes next, and what is claimed of it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import load
from dashboard.frames import audit as frames
from dashboard.frames import flips as flip_frames
from dashboard.settings import settings
from selfml.decisions import CLAIM_S, Store
from selfml.run import Run, catalogue_of

AHEAD = 10  # items fetched and claimed at once (our choice: what one decides within a claim)
TRIES = 5  # at items that others claim at the same moment
FURTHER = 50  # times AHEAD, among which one looks then (our choice: as many auditors)


@dataclass(frozen=True)
class Desk:
    """Whose queue of which flips this is."""

    run: Run
    store: Store
    catalogue: str
    auditor: str
    query: flip_frames.FlipQuery

    @property
    def run_id(self) -> str:
        """The run whose flips are decided."""
        return str(self.run.info.get("run_id") or self.run.path.name)

    @property
    def shop(self) -> str:
        """The catalogue's name for readers: its folder's, where it is a path."""
        return PurePath(self.catalogue).name or self.catalogue

    @property
    def key(self) -> tuple[str, str, str, flip_frames.FlipQuery]:
        """Changes where another queue is asked for."""
        return (str(self.run.path), load.updated(self.run), self.auditor, self.query)

    def skip(self) -> set[int]:
        """Keys of flips that need no decision of this auditor, or that others are at."""
        # Claims first: one that ends while the rest is asked for has become a decision by then.
        others = [
            cell for cell, who in self.store.claimed(self.catalogue).items() if who != self.auditor
        ]
        done = frames.keys_of(self.run, self.store.done(self.catalogue, self.auditor))
        held = frames.keys_of(self.run, pd.DataFrame(others, columns=["image_id", "attribute"]))
        return set(done.tolist()) | set(held.tolist())


def open_desk(run: Run, query: flip_frames.FlipQuery) -> Desk:
    """The desk of whoever is at this page.

    Raises
    ------
    StoreError, ValueError
        When the store cannot be opened.
    """
    catalogue = catalogue_of(run)
    return Desk(run, load.store(), catalogue, settings().auditor, query)


@dataclass
class Ahead:
    """The next items of a desk, and where one stands; lives as long as the browser's tab."""

    key: tuple
    flips: pd.DataFrame
    n_left: int
    until_s: float  # when the claims are to be made anew, on the clock of time.monotonic

    def is_of(self, desk: Desk) -> bool:
        """Whether these are still that desk's, and still claimed."""
        return self.key == desk.key and time.monotonic() < self.until_s

    def names(self) -> list[str]:
        """``<image_index>-<attribute_index>`` of each item."""
        i, j = self.flips["image_index"], self.flips["attribute_index"]
        return [f"{a}-{b}" for a, b in zip(i, j, strict=True)]

    def without(self, key: str) -> None:
        """Take an item that was decided off."""
        keep = [k != key for k in self.names()]
        self.n_left -= len(keep) - sum(keep)
        self.flips = self.flips[np.array(keep, bool)]


def ahead_of(desk: Desk) -> Ahead:
    """The next items, fetched and claimed anew when there are none or others are asked for."""
    ahead: Ahead | None = st.session_state.get("audit_ahead")
    if ahead is not None and ahead.key != desk.key:
        former: Desk = st.session_state["audit_desk"]
        give_back(former, ahead)
    if ahead is None or not ahead.is_of(desk) or ahead.flips.empty:
        ahead = fetch(desk)
        st.session_state["audit_ahead"], st.session_state["audit_desk"] = ahead, desk
    return ahead


def give_back(desk: Desk, ahead: Ahead) -> None:
    """Leave the items that are claimed to others."""
    desk.store.release(desk.catalogue, _cells(ahead.flips), desk.auditor)


def _cells(flips: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(flips["image_id"], flips["attribute"], strict=True))


def fetch(desk: Desk) -> Ahead:
    """What is undecided and could be claimed: others may claim between asking and claiming.

    Who comes off empty-handed looks further down, each at another place: where many ask at the
    same moment, all of them would otherwise try the same few items again.
    """
    for attempt in range(TRIES):
        skip = desk.skip()
        n_left = frames.n_left(desk.run, desk.query, skip)
        flips = frames.queue(desk.run, desk.query, skip, AHEAD * FURTHER if attempt else AHEAD)
        start = AHEAD * random.randrange(max(1, len(flips) // AHEAD))
        flips = flips[start : start + AHEAD]
        mine = desk.store.claim(desk.catalogue, _cells(flips), desk.auditor)
        claimed = np.array([cell in mine for cell in _cells(flips)], bool)  # bool also of none
        if claimed.any() or not n_left:
            break
    return Ahead(desk.key, flips[claimed], n_left, time.monotonic() + CLAIM_S / 2)


def named(desk: Desk, key: tuple[int, int]) -> pd.DataFrame:
    """The flip of an address, which need not be among the next ones."""
    flat = key[0] * len(desk.run.attributes) + key[1]
    return flip_frames.flips_page(desk.run, flip_frames.FlipQuery(keys=(flat,)), 1, 1)


def forget() -> None:
    """Ask the store again at the next drawing."""
    st.session_state.pop("audit_ahead", None)
