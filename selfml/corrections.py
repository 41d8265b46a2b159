"""Given labels, flips and verified labels -> corrected labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

# A spreadsheet takes a text that begins so for a formula (OWASP, CSV injection); the full-width
# ones where it is set to Japanese or Chinese.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def select_flips(
    flips: pd.DataFrame,
    *,
    min_confidence: float = 0.0,
    agreed_only: bool = False,
    auto_only: bool = False,
) -> pd.DataFrame:
    """The flips to apply: at least this sure, and if asked only those strict evidence makes too.

    ``auto_only`` leaves those that may be accepted without a look (:mod:`selfml.trust`).

    Raises
    ------
    ValueError
        When ``min_confidence`` is not within 0..1.
    """
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence: must be within 0..1, got {min_confidence}")
    keep = ~(flips["confidence"] < min_confidence)  # without one: a person accepted it
    if agreed_only:
        keep &= flips["strict_agrees"]
    if auto_only:
        keep &= flips["auto_accept"]
    return flips[keep]


def apply_flips(given: np.ndarray, flips: pd.DataFrame, verified: np.ndarray) -> np.ndarray:
    """Corrected labels, (N, L) int8: verified where known, else flipped where listed, else given.

    Parameters
    ----------
    given, verified : (N, L) int8
        -1 unknown.
    flips : DataFrame
        image_index, attribute_index, corrected.
    """
    corrected = np.array(given, np.int8)
    i, j = flips["image_index"].to_numpy(), flips["attribute_index"].to_numpy()
    corrected[i, j] = flips["corrected"].to_numpy()
    return np.where(np.asarray(verified) >= 0, verified, corrected).astype(np.int8)


def neutralise(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run as a formula."""
    return "'" + text if _runs(text) else text


def restore(text: str) -> str:
    """Take the apostrophe that `neutralise` put before a formula off again.

    A text that was given with such an apostrophe is taken for one without; written again it has it.
    """
    return text[1:] if text[:1] == "'" and _runs(text[1:]) else text


def _runs(text: str) -> bool:
    """Whether a spreadsheet may take it for a formula, also one that drops blanks before it."""
    if text[:1].isalnum():  # nearly all
        return False
    return text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
