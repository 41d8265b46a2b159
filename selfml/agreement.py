"""How far auditors agree on what both decided."""

from __future__ import annotations

from itertools import combinations

import pandas as pd

COLUMNS = ("one", "other", "both decided", "agree", "kappa")


def kappas(said: pd.DataFrame) -> pd.DataFrame:
    """Cohen's kappa of each pair of auditors (Cohen 1960), over accept and reject.

    Parameters
    ----------
    said : DataFrame
        image_id, attribute, auditor, decision; one row a cell and auditor
        (``Store.of_auditors`` without settlements). Unsure counts as not decided.

    Returns
    -------
    DataFrame
        ``COLUMNS``: agree is a share of 0..1; kappa is NaN where both always said one and the
        same, for chance alone would then agree as well.
    """
    from sklearn.metrics import cohen_kappa_score  # much memory, for few pages

    sure = said[said["decision"] != "unsure"]
    table = sure.pivot_table(
        index=["image_id", "attribute"], columns="auditor", values="decision", aggfunc="last"
    )
    rows = []
    for one, other in combinations(table.columns, 2):
        both = table[[one, other]].dropna()
        if both.empty:
            continue
        left, right = both[one].to_numpy(str), both[other].to_numpy(str)
        varied = len({*left, *right}) > 1
        kappa = float(cohen_kappa_score(left, right)) if varied else float("nan")
        rows.append((one, other, len(both), float((left == right).mean()), kappa))
    return pd.DataFrame(rows, columns=list(COLUMNS))
