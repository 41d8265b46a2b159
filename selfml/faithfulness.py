"""Faithfulness of a run's explanations: deletion, sufficiency, agreement, stability in one table.

Deletion and sufficiency are those of :mod:`selfml.deletion`; stability needs the model and is
measured at the end of training (:mod:`selfml.stability`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from selfml.deletion import COLUMNS, EVIDENCE, explanation_rows
from selfml.flips import (
    basis_values,
    corrected_labels,
    corrected_probabilities,
    deciding_mode,
    read_evidence_model,
)
from selfml.run import Run


def agreement_rows(given: np.ndarray, full: np.ndarray, strict: np.ndarray) -> pd.DataFrame:
    """How often one kind of evidence makes the flips of the other, overall and by attribute.

    Parameters
    ----------
    given, full, strict : (N, L) int8
        Labels as given and as each evidence corrects them; -1 unknown is no flip.

    Returns
    -------
    DataFrame
        ``COLUMNS``; attribute_index -1 is all, attributes without a flip have no row.
    """
    made = {
        "full": (given >= 0) & (full != given),
        "strict": (given >= 0) & (strict != given),
    }
    both = (made["full"] & made["strict"]).sum(axis=0)
    rows = []
    for kind in EVIDENCE:
        n = made[kind].sum(axis=0)
        counts = [(-1, both.sum(), n.sum()), *zip(range(len(n)), both, n, strict=True)]
        rows += [
            ("agreement", kind, "coefficients", 0, j, 100.0 * hits / total, int(total))
            for j, hits, total in counts
            if total
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def stability_rows(
    before: sparse.csr_matrix,
    after: sparse.csr_matrix,
    given: np.ndarray,
    labels: dict[str, tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """What a slight change of n images changes in their explanations and flips.

    Parameters
    ----------
    before, after : scipy.sparse CSR (n, K)
        Coefficients of the image and of the changed image.
    given : (n, L) int8
    labels : dict of str to pair of (n, L) int8
        By evidence: corrected labels before and after.

    Returns
    -------
    DataFrame
        ``COLUMNS``; the measures ``stability_*``. Empty without images.
    """
    a, b = sparse.csr_matrix(before), sparse.csr_matrix(after)
    n = a.shape[0]
    if not n:
        return pd.DataFrame(columns=list(COLUMNS))
    used_a, used_b = (a > 0).astype(np.int64), (b > 0).astype(np.int64)
    common = np.asarray(used_a.multiply(used_b).sum(axis=1)).ravel()
    either = np.asarray((used_a + used_b > 0).sum(axis=1)).ravel()
    distance = np.asarray(abs(a - b).sum(axis=1)).ravel()
    same = np.asarray(a.argmax(axis=1)).ravel() == np.asarray(b.argmax(axis=1)).ravel()
    rows = [
        ("stability_jaccard", 100.0 * float(np.mean(common / np.maximum(either, 1)))),
        ("stability_l1", float(distance.mean())),
        ("stability_top", 100.0 * float(same.mean())),
    ]
    found = [(name, "", "changed", 0, -1, value, n) for name, value in rows]
    for kind, (old, new) in labels.items():
        flipped = (given >= 0) & (old != given)
        if flipped.any():
            stay = 100.0 * float((new == old)[flipped].mean())
            found.append(("stability_flips", kind, "changed", 0, -1, stay, int(flipped.sum())))
    return pd.DataFrame(found, columns=list(COLUMNS))


def faithfulness(run: Run) -> pd.DataFrame:
    """The rows of ``faithfulness.parquet``: all that the run's files tell, and what is stored.

    Stability needs the model and is measured at the end of training; its rows are kept.

    Raises
    ------
    RunError
        When training has not written its results yet.
    """
    model = read_evidence_model(run)
    places = (run.array("features"), run.array("basis")) if run.has("features", "basis") else ()
    found = explanation_rows(
        run.coefficients(),
        basis_values(run.array("basis_labels"), model.prior),
        run.table("flips").sort_values(["image_index", "attribute_index"]),
        model,
        seed=int(run.info.get("seed") or 0),
        **dict(zip(("features", "basis"), places, strict=False)),
    )
    given = np.asarray(run.array("labels_given"))
    parts = [found, agreement_rows(given, *_both_labels(run))]
    if run.has("faithfulness"):
        stored = run.table("faithfulness")
        parts.append(stored[stored["measure"].str.startswith("stability")])
    return pd.concat([part for part in parts if len(part)] or [found], ignore_index=True)


def _both_labels(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Labels as full and as strict evidence corrects them, each (N, L) int8."""
    strict = np.asarray(run.array("labels_strict"))
    if deciding_mode(run) == "full":
        return np.asarray(run.array("labels_corrected")), strict
    given = np.asarray(run.array("labels_given"))
    return corrected_labels(given, corrected_probabilities(run) - 0.5), strict
