"""What each attribute gained, how often it was changed, and how right the changes are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.flips import with_names
from selfml.intervals import wilson_interval
from selfml.run import Run
from selfml.run_format import METHODS, SPLITS

ROWS_AT_ONCE = 65_536
MIN_SUPPORT = 10  # below it one image can move a figure by ten points: marked as few (our choice)
DIRECTIONS = ("to_1", "to_0")
FLIP_COUNTS = [f"{d}{kind}" for d in DIRECTIONS for kind in ("", "_correct", "_judged")]
ERROR_COUNTS = [f"errors_{d}" for d in DIRECTIONS]
GAIN_METRIC = {"baseline_1": "ap_gain", "baseline_0": "ap_gain_baseline_0"}
#: which images are counted -> their splits; the basis and the evidence learned from clean_train
SCOPES: dict[str, tuple[str, ...]] = {
    "": SPLITS,
    "clean_test": ("clean_test",),
    "noisy": ("noisy_train", "noisy_test"),
    "unseen": tuple(split for split in SPLITS if split != "clean_train"),
    "learned": ("clean_train",),
}


def names(run: Run) -> pd.DataFrame:
    """attribute_index and attribute of all attributes, in the run's order."""
    index = np.arange(len(run.attributes), dtype=np.int16)
    return with_names(run, pd.DataFrame({"attribute_index": index}))


def rows_of(run: Run, scope: str) -> np.ndarray:
    """Which images a scope has, (N,) bool."""
    split = run.table("images", ["split"])["split"].to_numpy(object)
    return np.isin(split.astype(str), SCOPES[scope])


def gains(run: Run, baseline: str = "baseline_1") -> pd.DataFrame:
    """Average precision of every attribute, as given most often first (paper, Fig. 4).

    Parameters
    ----------
    baseline : {"baseline_1", "baseline_0"}
        What SELF-ML's gain is measured over.

    Returns
    -------
    DataFrame
        attribute_index, attribute, prevalence_given (fraction of the known labels), support
        (verified test images that have it), few (whether those are under ``MIN_SUPPORT``), one
        column ``ap_<method>`` each (%), gain with low and high (95 % bootstrap interval, NaN
        where the run has none), in percentage points. An attribute that cannot be measured has
        NaN; without any measured gain there are no rows.
    """
    table, frame = _measured(run), names(run)
    for method in METHODS:
        frame[f"ap_{method}"] = _column(table, frame, method, "ap", "value")
    gain = (frame["ap_self_ml"] - frame[f"ap_{baseline}"]).to_numpy(np.float64)
    stored = _column(table, frame, "self_ml", GAIN_METRIC[baseline], "value")
    frame["gain"] = np.where(np.isnan(stored), gain, stored)
    for bound in ("low", "high"):
        frame[bound] = _column(table, frame, "self_ml", GAIN_METRIC[baseline], bound)
    if frame["gain"].isna().all():
        return frame.assign(prevalence_given=np.nan, support=0, few=False).iloc[:0]
    given = run.table("attributes", ["attribute_index", "prevalence_given"])
    frame = frame.merge(given, on="attribute_index", how="left")
    support = (run.array("labels_true")[rows_of(run, "clean_test")] == 1).sum(axis=0)
    frame = frame.assign(support=support, few=support < MIN_SUPPORT)
    order = ["prevalence_given", "attribute_index"]
    return frame.sort_values(order, ascending=[False, True], ignore_index=True)


def _measured(run: Run) -> pd.DataFrame:
    if not run.has("attribute_metrics"):
        columns = ["attribute_index", "method", "metric", "value", "low", "high", "support"]
        return pd.DataFrame({name: [] for name in columns})
    return run.table("attribute_metrics")


def _column(
    table: pd.DataFrame, frame: pd.DataFrame, method: str, metric: str, name: str
) -> np.ndarray:
    rows = table[(table["method"] == method) & (table["metric"] == metric)]
    values = rows.set_index("attribute_index")[name]
    return frame["attribute_index"].map(values).to_numpy(np.float64)


def label_counts(run: Run, scope: str = "") -> pd.DataFrame:
    """How often each attribute is there and how right its flips are, counted in one pass.

    Parameters
    ----------
    scope : str
        A key of ``SCOPES``.

    Returns
    -------
    DataFrame
        attribute_index, attribute; prevalence_given, _corrected, _verified (fractions of the
        known labels; NaN where none is known); ``FLIP_COUNTS`` and ``ERROR_COUNTS``; judged,
        right (flips whose verified label is known, and those that agree with it); errors
        (given labels known to be wrong).
    """
    labels = [run.array(f"labels_{name}") for name in ("given", "corrected", "true")]
    rows, total = rows_of(run, scope), None
    for start in range(0, len(rows), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        part = _count(*(np.asarray(array[block])[rows[block]] for array in labels))
        total = part if total is None else {name: total[name] + part[name] for name in part}
    frame = names(run)
    if total is None:
        return frame.iloc[:0]
    for name in ("given", "corrected", "verified"):
        frame[f"prevalence_{name}"] = ratio(total[f"yes_{name}"], total[f"known_{name}"])
    counts = ("judged", "right", "errors", *FLIP_COUNTS, *ERROR_COUNTS)
    return frame.assign(**{name: total[name] for name in counts})


def _count(given: np.ndarray, corrected: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    flipped = (given >= 0) & (corrected != given)
    known = (truth >= 0) & (given >= 0)
    judged = flipped & known
    masks = {
        "to_1": flipped & (corrected == 1),
        "to_0": flipped & (corrected == 0),
        "judged": judged,
        "right": judged & (corrected == truth),
        "errors": known & (given != truth),
        "errors_to_1": known & (given == 0) & (truth == 1),
        "errors_to_0": known & (given == 1) & (truth == 0),
    }
    for direction in DIRECTIONS:
        masks[f"{direction}_judged"] = masks[direction] & judged
        masks[f"{direction}_correct"] = masks[direction] & masks["right"]
    for name, labels in (("given", given), ("corrected", corrected), ("verified", truth)):
        masks |= {f"yes_{name}": labels == 1, f"known_{name}": labels >= 0}
    return {name: mask.sum(axis=0, dtype=np.int64) for name, mask in masks.items()}


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where there is nothing."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def flip_counts(run: Run, scope: str = "") -> pd.DataFrame:
    """Flips to 1 and to 0 by attribute, most flipped first (paper, Fig. 5).

    Parameters
    ----------
    scope : str
        A key of ``SCOPES``: all images, or C_test alone as in the paper.

    Returns
    -------
    DataFrame
        attribute_index, attribute, to_1, to_0, to_1_correct, to_0_correct, to_1_judged,
        to_0_judged (how many of them are known to be right, and are known at all: of images that
        the evidence was not learned from).
    """
    counted = label_counts(run, scope or "unseen")
    frame = counted[["attribute_index", "attribute", *FLIP_COUNTS]]
    if not scope:
        learned = label_counts(run, "learned")
        frame = frame.assign(**{d: frame[d] + learned[d] for d in DIRECTIONS})
    order = (frame["to_1"] + frame["to_0"]).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def correctness(run: Run, scope: str = "unseen", direction: str = "all") -> pd.DataFrame:
    """Precision and recall of the flips by attribute, with 95 % Wilson intervals.

    Parameters
    ----------
    scope : str
        A key of ``SCOPES``; verified images that the evidence was learned from flatter it.
    direction : {"all", "to_1", "to_0"}
        Which flips, and which errors they could have put right.

    Returns
    -------
    DataFrame
        attribute_index, attribute; judged, right (flips whose verified label is known, and
        those that agree with it), errors (given labels known to be wrong); precision (right /
        judged) and recall (right / errors), fractions, each with ``_low`` and ``_high``, NaN
        where nothing is known; few (under ``MIN_SUPPORT`` judged flips); most judged first.
    """
    counts = label_counts(run, scope)
    frame = counts[["attribute_index", "attribute"]]
    if direction == "all":
        frame = frame.assign(**{name: counts[name] for name in ("judged", "right", "errors")})
    else:
        frame = frame.assign(
            judged=counts[f"{direction}_judged"],
            right=counts[f"{direction}_correct"],
            errors=counts[f"errors_{direction}"],
        )
    right = frame["right"].to_numpy()
    for name, whole in (("precision", "judged"), ("recall", "errors")):
        n = frame[whole].to_numpy()
        low, high = wilson_interval(right, n)
        frame = frame.assign(**{name: ratio(right, n), f"{name}_low": low, f"{name}_high": high})
    frame = frame.assign(few=frame["judged"] < MIN_SUPPORT)
    order = ["judged", "attribute_index"]
    return frame.sort_values(order, ascending=[False, True], ignore_index=True)
