"""What each attribute gained, how often it was changed, and how right the changes are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.basis import NO_CATEGORY
from dashboard.frames.flips import ask, with_names
from selfml.run import METHODS, Run

ROWS_AT_ONCE = 65_536
FLIP_COUNTS = [f"{d}{kind}" for d in ("to_1", "to_0") for kind in ("", "_correct", "_judged")]
SCOPES = {"": "All images", "clean_test": "Verified test images"}


def _names(run: Run) -> pd.DataFrame:
    index = np.arange(len(run.attributes), dtype=np.int16)
    return with_names(run, pd.DataFrame({"attribute_index": index}))


def _measured(run: Run) -> pd.DataFrame:
    if not run.has("attribute_metrics"):
        columns = ["attribute_index", "method", "metric", "value", "low", "high", "support"]
        return pd.DataFrame({name: [] for name in columns})
    return run.table("attribute_metrics")


def gains(run: Run) -> pd.DataFrame:
    """Average precision by attribute, most frequent first (paper, Fig. 4).

    Returns
    -------
    DataFrame
        attribute_index, attribute, support (verified test images that have it), one column
        ``ap_<method>`` each (%), gain of SELF-ML over Baseline 1 with low and high (95 %
        bootstrap interval), in percentage points. Attributes without a gain are left out.
    """
    table = _measured(run)
    gain = table[(table["method"] == "self_ml") & (table["metric"] == "ap_gain")]
    gain = gain[gain["value"].notna()].rename(columns={"value": "gain"})
    frame = _names(run).merge(
        gain[["attribute_index", "gain", "low", "high", "support"]], on="attribute_index"
    )
    for method in METHODS:
        ap = table[(table["method"] == method) & (table["metric"] == "ap")]
        values = ap.set_index("attribute_index")["value"]
        frame[f"ap_{method}"] = frame["attribute_index"].map(values).astype(np.float64)
    order = ["support", "attribute_index"]
    return frame.sort_values(order, ascending=[False, True], ignore_index=True)


def label_counts(run: Run) -> pd.DataFrame:
    """How often each attribute is there and how right its flips are, counted in one pass.

    Returns
    -------
    DataFrame
        attribute_index, attribute; prevalence_given, _corrected, _verified (fractions of the
        known labels; NaN where none is known); ``FLIP_COUNTS``; judged, right (flips whose
        verified label is known, and those that agree with it); errors (known wrong given
        labels), precision and recall (fractions, NaN where nothing is known).
    """
    given, corrected, truth = (
        run.array(f"labels_{name}") for name in ("given", "corrected", "true")
    )
    total = None
    for start in range(0, len(given), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = _count(np.asarray(given[rows]), np.asarray(corrected[rows]), np.asarray(truth[rows]))
        total = part if total is None else {name: total[name] + part[name] for name in part}
    frame = _names(run)
    if total is None:
        return frame.iloc[:0]
    for name in ("given", "corrected", "verified"):
        frame[f"prevalence_{name}"] = _ratio(total[f"yes_{name}"], total[f"known_{name}"])
    counts = ("judged", "right", "errors", *FLIP_COUNTS)
    frame = frame.assign(**{name: total[name] for name in counts})
    return frame.assign(
        precision=_ratio(total["right"], total["judged"]),
        recall=_ratio(total["right"], total["errors"]),
    )


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
    }
    for direction in ("to_1", "to_0"):
        masks[f"{direction}_judged"] = masks[direction] & judged
        masks[f"{direction}_correct"] = masks[direction] & masks["right"]
    for name, labels in (("given", given), ("corrected", corrected), ("verified", truth)):
        masks |= {f"yes_{name}": labels == 1, f"known_{name}": labels >= 0}
    return {name: mask.sum(axis=0, dtype=np.int64) for name, mask in masks.items()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
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
        to_0_judged (how many of them are known to be right, and are known at all).
    """
    if scope == "":
        frame = label_counts(run)[["attribute_index", "attribute", *FLIP_COUNTS]]
    else:
        frame = _stored_counts(run, scope)
    order = (frame["to_1"] + frame["to_0"]).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def _stored_counts(run: Run, scope: str) -> pd.DataFrame:
    """Counts as ``attribute_metrics`` has them; without rows where it has none."""
    table = _measured(run)
    table, frame = table[table["method"] == "self_ml"], _names(run)
    found = False
    for column in FLIP_COUNTS:
        rows = table[table["metric"] == f"flips_{column}_{scope}"]
        values = rows.set_index("attribute_index")["value"]
        frame[column] = frame["attribute_index"].map(values).fillna(0.0).astype(np.int64)
        found |= not rows.empty
    return frame if found else frame.iloc[:0]


def flips_by_category(run: Run) -> pd.DataFrame:
    """attribute_index, attribute, category, to_1, to_0, n_images (of that category)."""
    sql = f"""
        WITH named AS (
            SELECT image_index, coalesce(category, '{NO_CATEGORY}') AS category
            FROM read_parquet(?)
        ), sizes AS (SELECT category, count(*)::BIGINT AS n_images FROM named GROUP BY 1)
        SELECT f.attribute_index, n.category, sizes.n_images,
               count(*) FILTER (f.corrected = 1)::BIGINT AS to_1,
               count(*) FILTER (f.corrected = 0)::BIGINT AS to_0
        FROM read_parquet(?) f JOIN named n USING (image_index) JOIN sizes USING (category)
        GROUP BY ALL ORDER BY 1, 2
    """
    paths = [str(run.table_path(name)) for name in ("images", "flips")]
    return with_names(run, ask(sql, paths))


def category_matrix(by_category: pd.DataFrame, direction: str = "all") -> pd.DataFrame:
    """Flips per 100 images: a row an attribute, most flipped first, a column a category.

    Parameters
    ----------
    by_category : DataFrame
        Of :func:`flips_by_category`.
    direction : {"all", "to_1", "to_0"}
        Which flips.
    """
    n = by_category["to_1"] + by_category["to_0"] if direction == "all" else by_category[direction]
    rate = by_category.assign(n=n, rate=100 * n / by_category["n_images"])
    wide = rate.pivot_table(
        index="attribute", columns="category", values="rate", fill_value=0.0, observed=True
    )
    order = rate.groupby("attribute", observed=True)["n"].sum().sort_values(ascending=False)
    return wide.reindex(order.index)
