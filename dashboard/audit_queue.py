"""The queue of the audit desk: whose it is, what comes next, and what is claimed of it."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import access, blinding, load
from dashboard.frames import audit as frames
from dashboard.frames import flips as flip_frames
from dashboard.frames.controls import Controls, controls, next_control
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
    may_decide: bool = True

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

    @property
    def controls(self) -> Controls:
        """Flips of verified images: some are mixed in, none is to be decided."""
        return load.frame(self.run, controls)

    def is_control(self, name: str) -> bool:
        """Whether ``<image_index>-<attribute_index>`` is a flip of a verified image."""
        image, _, attribute = name.partition("-")
        key = int(image) * len(self.run.attributes) + int(attribute)
        return bool(np.isin(key, self.controls.hidden))

    def standing(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys of flips that need no decision of this auditor, and of those they decided.

        The first are those that are decided, that others are at, and those of verified images.
        """
        # Claims first: one that ends while the rest is asked for has become a decision by then.
        others = [
            cell for cell, who in self.store.claimed(self.catalogue).items() if who != self.auditor
        ]
        done, own = load.decisions(self.run, self.store, self.catalogue).done(self.auditor)
        held = frames.keys_of(self.run, pd.DataFrame(others, columns=["image_id", "attribute"]))
        return np.concatenate([done, held, self.controls.hidden]), own


def open_desk(run: Run, query: flip_frames.FlipQuery) -> Desk:
    """The desk of whoever is at this page.

    Raises
    ------
    StoreError, ValueError
        When the store cannot be opened.
    """
    catalogue = catalogue_of(run)
    person = access.require("viewer")
    return Desk(run, load.store(), catalogue, person.id, query, person.may("auditor"))


@dataclass
class Ahead:
    """The next items of a desk, and where one stands; lives as long as the browser's tab."""

    key: tuple
    flips: pd.DataFrame
    n_left: int  # with the control item that is among them, which nothing tells apart
    until_s: float  # when the claims are to be made anew, on the clock of time.monotonic

    def is_of(self, desk: Desk, n: int = AHEAD) -> bool:
        """Whether these are still that desk's, and still claimed."""
        return self.key == (*desk.key, n) and time.monotonic() < self.until_s

    def names(self) -> list[str]:
        """``<image_index>-<attribute_index>`` of each item."""
        return names_of(self.flips)

    def without(self, key: str) -> None:
        """Take an item that was decided off."""
        keep = [k != key for k in self.names()]
        self.n_left -= len(keep) - sum(keep)
        self.flips = self.flips[np.array(keep, bool)]


def of_all(desk: Desk, ahead: Ahead | None = None) -> tuple[str, str]:
    """How many flips the desk's query has, and why some of them are not asked about.

    Auditors are not told how many those are: of a narrow query it would say which are verified. A
    control item ``ahead`` is asked about, else the sum would tell that there is one.
    """
    counts = load.frame(desk.run, flip_frames.flips_summary, desk.query)
    asked = sum(map(desk.is_control, ahead.names())) if ahead else 0
    if blinding.is_blind():
        some = "flips" if len(desk.controls.hidden) else ""
    else:
        n_verified = counts["verified"] - asked
        some = f"{n_verified:,}" if n_verified > 0 else ""
    return f"{counts['n']:,}", some and f"{some} on verified images need no decision"


def names_of(flips: pd.DataFrame) -> list[str]:
    """``<image_index>-<attribute_index>`` of each flip."""
    return [f"{i}-{j}" for i, j in zip(flips["image_index"], flips["attribute_index"], strict=True)]


def ahead_of(desk: Desk, n: int = AHEAD) -> Ahead:
    """The next ``n`` items, fetched and claimed anew when there are none or others are asked for.

    A control item may be among them; it is nobody's alone, so it is not claimed.
    """
    ahead: Ahead | None = st.session_state.get("audit_ahead")
    former: Desk = st.session_state.get("audit_desk", desk)
    if ahead is not None and ahead.key != (*desk.key, n) and former.may_decide:
        give_back(former, ahead)
    if ahead is None or not ahead.is_of(desk, n) or ahead.flips.empty:
        ahead = fetch(desk, n)
        st.session_state["audit_ahead"], st.session_state["audit_desk"] = ahead, desk
    return ahead


def give_back(desk: Desk, ahead: Ahead) -> None:
    """Leave the items that are claimed to others."""
    desk.store.release(desk.catalogue, _cells(ahead.flips), desk.auditor)


def _cells(flips: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(flips["image_id"], flips["attribute"], strict=True))


def fetch(desk: Desk, n: int = AHEAD) -> Ahead:
    """What is undecided and could be claimed: others may claim between asking and claiming.

    Who comes off empty-handed looks further down, each at another place: where many ask at the
    same moment, all of them would otherwise try the same few items again.
    """
    key, until_s = (*desk.key, n), time.monotonic() + CLAIM_S / 2
    for attempt in range(TRIES):
        skip, own = desk.standing()
        n_left = frames.n_left(desk.run, desk.query, skip)
        flips = frames.queue(desk.run, desk.query, skip, n * FURTHER if attempt else n)
        start = n * random.randrange(max(1, len(flips) // n))
        flips = flips[start : start + n]
        if not desk.may_decide:
            return Ahead(key, flips, n_left, until_s)
        mine = desk.store.claim(desk.catalogue, _cells(flips), desk.auditor)
        flips = flips[np.array([cell in mine for cell in _cells(flips)], bool)]
        if len(flips) or not n_left:
            break
    return _with_control(desk, Ahead(key, flips, n_left, until_s), own)


def _with_control(desk: Desk, ahead: Ahead, own: np.ndarray) -> Ahead:
    """With a control item where it is due; there is none when nothing else is left."""
    if ahead.flips.empty:
        return ahead
    like = float(ahead.flips["confidence"].median())
    n = len(ahead.flips)
    wait, control = next_control(desk.run, desk.controls, desk.query, own, desk.auditor, like, n)
    if control.empty or wait > len(ahead.flips):
        return ahead
    parts = [ahead.flips.iloc[:wait], control, ahead.flips.iloc[wait:]]
    flips = pd.concat(parts, ignore_index=True)
    return replace(ahead, flips=flips, n_left=ahead.n_left + 1)


def named(desk: Desk, key: tuple[int, int]) -> pd.DataFrame:
    """The flip of an address, which need not be among the next ones."""
    flat = key[0] * len(desk.run.attributes) + key[1]
    return flip_frames.flips_page(desk.run, flip_frames.FlipQuery(keys=(flat,)), 1, 1)


def forget() -> None:
    """Ask the store again at the next drawing."""
    st.session_state.pop("audit_ahead", None)
