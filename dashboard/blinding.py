"""What auditors are not shown: what is verified of single flips.

Flips of verified images are mixed into their queue as control items (:mod:`.frames.controls`), and
who could look up the verified label, or which images are verified, would be measured in vain. So
where people sign in, whoever has the role auditor sees neither in the views and in what they save
from there. Viewers decide nothing, and admins run the site: both see everything, as does the one
local user without sign-in. Figures of many labels together are shown to all, those of few are
not: of a category with one judged flip they would be that flip's label. A corrected file that
an auditor exports holds the verified labels, as it must: who looks there beside the queue can see
them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from dashboard import access
from dashboard.frames.attributes import MIN_SUPPORT
from dashboard.frames.flips import FlipQuery
from dashboard.frames.receipt import Verdict

ROLE = "auditor"
OF_VERIFIED = ("right", "wrong", "learned", "verified")  # counts of a list of flips
COUNTS = ("judged", "to_1_judged", "to_0_judged")
#: what is said of judged flips in the tables of the Attributes view
MEASURED = (
    *("right", "errors", "errors_to_1", "errors_to_0", "to_1_correct", "to_0_correct"),
    *(f"{name}{end}" for name in ("precision", "recall") for end in ("", "_low", "_high")),
)
NOTE = "Verified labels of single flips are not shown to auditors: some of them are control items."


def is_blind() -> bool:
    """Whether who is at this page may be shown control items."""
    person = access.who()
    return person is not None and person.role == ROLE


def of_query(query: FlipQuery) -> FlipQuery:
    """Without what would sort verified flips out."""
    return replace(query, truth=None, split=None) if is_blind() else query


def of_counts(counts: dict[str, int]) -> dict[str, int]:
    """Counts of a list, which may be a list of one."""
    return counts | dict.fromkeys(OF_VERIFIED, 0) if is_blind() else counts


def of_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of labels, its column ``truth`` unknown and ``split`` left out."""
    if not is_blind():
        return table
    return table.assign(truth=-1).drop(columns="split", errors="ignore")


def of_measures(table: pd.DataFrame) -> pd.DataFrame:
    """A table of counts of judged flips and of shares, without those that rest on few flips."""
    if not is_blind():
        return table
    counts = [table[name].to_numpy() for name in COUNTS if name in table]
    few = np.any([(n > 0) & (n < MIN_SUPPORT) for n in counts], axis=0)
    found = table.copy()
    for name in (n for n in (*MEASURED, *COUNTS) if n in table):
        unknown = 0 if pd.api.types.is_integer_dtype(table[name]) else np.nan
        found[name] = table[name].mask(few, unknown)
    return found


def of_image(image: pd.Series) -> pd.Series:
    """A row of images without its part of the data."""
    return pd.Series({**image, "split": None}) if is_blind() else image


def of_verdict(verdict: Verdict) -> Verdict:
    """A verdict that knows no verified label."""
    return replace(verdict, truth=-1) if is_blind() else verdict
