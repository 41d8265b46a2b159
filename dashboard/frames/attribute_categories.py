"""In which categories the labels of an attribute were changed, and how right that was."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.attributes import MIN_SUPPORT, ratio
from dashboard.frames.basis import NO_CATEGORY
from dashboard.frames.database import ask
from dashboard.frames.flips import with_names
from selfml.intervals import wilson_interval
from selfml.run import Run

MAX_CATEGORIES = 20  # columns that can still be read; the file has all


def flips_by_category(run: Run) -> pd.DataFrame:
    """Flips of every attribute in every category that has any.

    Returns
    -------
    DataFrame
        attribute_index, attribute, category, n_images (of that category), to_1, to_0, and of
        each ``_judged`` and ``_correct``: flips whose verified label is known, and those that
        agree with it, without the images of clean_train that the evidence was learned from.
    """
    unseen = "f.truth >= 0 AND n.split <> 'clean_train'"
    counts = ", ".join(
        f"count(*) FILTER (f.corrected = {value}{more})::BIGINT AS to_{value}{kind}"
        for value in (1, 0)
        for kind, more in (
            ("", ""),
            ("_judged", f" AND {unseen}"),
            ("_correct", f" AND {unseen} AND f.truth = f.corrected"),
        )
    )
    sql = f"""
        WITH named AS (
            SELECT image_index, split, coalesce(category, '{NO_CATEGORY}') AS category
            FROM read_parquet(?)
        ), sizes AS (SELECT category, count(*)::BIGINT AS n_images FROM named GROUP BY 1)
        SELECT f.attribute_index, n.category, sizes.n_images, {counts}
        FROM read_parquet(?) f JOIN named n USING (image_index) JOIN sizes USING (category)
        GROUP BY ALL ORDER BY 1, 2
    """
    paths = [str(run.table_path(name)) for name in ("images", "flips")]
    return with_names(run, ask(sql, paths))


def cells(by_category: pd.DataFrame, direction: str = "all") -> pd.DataFrame:
    """One row for each attribute and category that has flips.

    Parameters
    ----------
    by_category : DataFrame
        Of :func:`flips_by_category`.
    direction : {"all", "to_1", "to_0"}
        Which flips.

    Returns
    -------
    DataFrame
        attribute_index, attribute, category, n_images, n (flips), rate (flips per 100 images),
        judged, right, precision with precision_low and _high (95 % Wilson interval; fractions,
        NaN where no flip is judged), few (under ``MIN_SUPPORT`` judged).
    """
    chosen = ("to_1", "to_0") if direction == "all" else (direction,)
    n, judged, right = (
        sum(by_category[f"{d}{kind}"].to_numpy(np.int64) for d in chosen)
        for kind in ("", "_judged", "_correct")
    )
    low, high = wilson_interval(right, judged)
    frame = by_category[["attribute_index", "attribute", "category", "n_images"]].assign(
        n=n,
        rate=100 * n / by_category["n_images"].to_numpy(np.float64),
        judged=judged,
        right=right,
        precision=ratio(right, judged),
        precision_low=low,
        precision_high=high,
        few=judged < MIN_SUPPORT,
    )
    return frame[frame["n"] > 0].reset_index(drop=True)


def most_flipped(frame: pd.DataFrame, n: int = MAX_CATEGORIES) -> pd.DataFrame:
    """The cells of the ``n`` categories with most flips."""
    totals = frame.groupby("category")["n"].sum()
    kept = totals.sort_values(ascending=False, kind="stable").index[:n]
    return frame[frame["category"].isin(kept)].reset_index(drop=True)


def grid(frame: pd.DataFrame, value: str) -> pd.DataFrame:
    """A column of :func:`cells` spread out: a row an attribute, most flipped first, NaN if none."""
    wide = frame.pivot(index="attribute", columns="category", values=value)
    order = frame.groupby("attribute")["n"].sum().sort_values(ascending=False, kind="stable")
    return wide.reindex(order.index)
