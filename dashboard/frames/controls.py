"""Control items: flips of verified images, mixed in to see whether auditors look.

Whether such a flip is right is known from clean.csv, and the auditor is not told that it is one.
Half of them are wrong proposals where there are so many; who accepts these trusts too much. An
image that is itself a basis image is never one, for its receipt would show its verified label.
Decisions on verified images correct nothing: exports and training pass over them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import pandas as pd

from dashboard.frames.flips import FlipQuery, flips_page, sureness
from selfml.audited import verified_images, with_indices
from selfml.intervals import wilson_interval
from selfml.run import Run

EVERY = 12  # one control among so many others: 7.7 % of what is decided (our choice; at least 5 %)
ALIKE = 8  # our choice
AUDITOR_COLUMNS = (
    *(
        "auditor",
        "decided",
        "accepted",
        "rejected",
        "unsure",
        "wrong proposals",
        "of these accepted",
    ),
    *("over-trust", "low", "high", "right proposals", "of these rejected"),
)


@dataclass(frozen=True, eq=False)
class Controls:
    """What may serve as control items in a run.

    Attributes
    ----------
    hidden : (H,) int64
        Keys (``image_index * L + attribute_index``) of all flips of verified images: none of
        them is to be decided.
    keys : (C,) int64, ascending
        Of these the ones that serve, whose verified label is known.
    wrong : (C,) bool
        Whether the proposal is wrong.
    """

    hidden: np.ndarray
    keys: np.ndarray
    wrong: np.ndarray


def controls(run: Run) -> Controls:
    """The control items of a run; none where no image is verified."""
    columns = ["image_index", "attribute_index", "corrected", "truth"]
    flips = run.table("flips", columns)
    flips = flips[verified_images(run)[flips["image_index"]]]
    keys = flips["image_index"].to_numpy(np.int64) * len(run.attributes)
    keys += flips["attribute_index"].to_numpy(np.int64)
    shown = run.table("basis", ["image_index"])["image_index"]
    serves = (flips["truth"] >= 0).to_numpy() & ~flips["image_index"].isin(shown).to_numpy()
    order = np.argsort(keys[serves])
    wrong = (flips["truth"] != flips["corrected"]).to_numpy()[serves][order]
    return Controls(np.sort(keys), keys[serves][order], wrong)


def _drawn(*parts: object) -> int:
    """A number that is the same whenever the same is asked: queues are rebuilt at any moment."""
    return int.from_bytes(sha256("\0".join(map(str, parts)).encode()).digest()[:8], "big")


def next_control(
    run: Run,
    known: Controls,
    query: FlipQuery,
    own: np.ndarray,
    auditor: str,
    like: float = 1.0,
    n_ahead: int = 0,
) -> tuple[int, pd.DataFrame]:
    """Which control comes next for an auditor, and after how many other items.

    Parameters
    ----------
    query : FlipQuery
        What is being looked at; a control that does not fit it would stand out.
    own : (M,) int64
        Keys of what the auditor has decided.
    like : float
        Confidence of the others: one of the ``ALIKE`` nearest to it is drawn, that it does not
        stand out where they are ordered by confidence.
    n_ahead : int
        How many others are shown or fetched with it; overdue, it comes at a drawn place among
        them.

    Returns
    -------
    tuple
        Items before it (0: it is due), and the flip as `flips_page` has it; no row where there
        is none left.
    """
    done = int(np.isin(own, known.keys).sum())
    left = ~np.isin(known.keys, own)
    chosen = replace(query, keys=tuple(known.keys[left].tolist()))
    fitting = sureness(run, chosen)
    if fitting.empty:
        return 0, flips_page(run, replace(query, keys=()), 1, 1)
    key = fitting["key"].to_numpy(np.int64)
    wrong = known.wrong[np.searchsorted(known.keys, key)]
    wanted = bool(_drawn(auditor, done, "wrong") % 2)
    of_kind = np.flatnonzero(wrong == wanted)
    candidates = of_kind if len(of_kind) else np.arange(len(key))
    far = np.abs(fitting["confidence"].to_numpy()[candidates] - like)
    alike = candidates[np.argsort(far, kind="stable")[:ALIKE]]
    at = min(alike, key=lambda n: _drawn(auditor, int(key[n])))
    place = _drawn(auditor, done, "place")
    wait = EVERY * done + place % EVERY - (len(own) - done)
    if wait <= 0:  # after many at one time: due, and anywhere among what is shown
        wait = place % min(n_ahead + 1, EVERY)
    return wait, flips_page(run, FlipQuery(keys=(int(key[at]),)), 1, 1)


def first_answers(history: pd.DataFrame) -> pd.DataFrame:
    """What each auditor said first of a cell, also where it was taken back; no settlements.

    Parameters
    ----------
    history : DataFrame
        ``Store.history``, latest first.
    """
    own = history[history["kind"] != "settle"][::-1]
    return own.drop_duplicates(["image_id", "attribute", "auditor"], ignore_index=True)


def by_auditor(run: Run, known: Controls, said: pd.DataFrame) -> pd.DataFrame:
    """One row for each auditor: what they decided, and how they did on control items.

    Parameters
    ----------
    said : DataFrame
        One row a cell and auditor: image_id, attribute, auditor, decision (`first_answers`).

    Returns
    -------
    DataFrame
        ``AUDITOR_COLUMNS``. over-trust is the share (0..1) of wrong proposals that were accepted,
        low and high its 95 % interval (Wilson); NaN without any. Unsure counts as neither.
    """
    cells = with_indices(run, said)
    keys = cells["image_index"].to_numpy(np.int64) * len(run.attributes)
    keys += cells["attribute_index"].to_numpy(np.int64)
    place = np.searchsorted(known.keys, keys)
    inside = place < len(known.keys)
    is_control = inside.copy()
    is_control[inside] = known.keys[place[inside]] == keys[inside]
    wrong = np.zeros(len(keys), bool)
    wrong[is_control] = known.wrong[place[is_control]]
    accepted = (cells["decision"] == "accept").to_numpy()
    rejected = (cells["decision"] == "reject").to_numpy()
    sure = accepted | rejected
    counted = pd.DataFrame(
        {
            "auditor": cells["auditor"].to_numpy(),
            "decided": 1,
            "accepted": accepted,
            "rejected": rejected,
            "unsure": ~sure,
            "wrong proposals": is_control & wrong & sure,
            "of these accepted": is_control & wrong & accepted,
            "right proposals": is_control & ~wrong & sure,
            "of these rejected": is_control & ~wrong & rejected,
        }
    )
    frame = counted.groupby("auditor", as_index=False).sum()
    k, n = frame["of these accepted"].to_numpy(int), frame["wrong proposals"].to_numpy(int)
    low, high = wilson_interval(k, n)
    share = np.divide(k, n, out=np.full(len(n), np.nan), where=n > 0)
    return frame.assign(**{"over-trust": share, "low": low, "high": high})[list(AUDITOR_COLUMNS)]
