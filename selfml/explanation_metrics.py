"""How good the flips are (Fig. 5), and how good the explanations behind them.

Labels (N, L) hold 0, 1 or -1; a cell whose truth is -1 is neither counted for nor against. Results
are fractions in 0..1 or counts; a metric with nothing to measure is NaN. In the second half an
explanation is a row of ``coefficients`` (N, K), sparse and on the simplex (`selfml.simplex`), over
the atoms of a basis.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from selfml.hull import explained_variance
from selfml.metrics import (
    average_precision,
    check_attribute_names,
    checked_labels,
    f1_from_counts,
    mean_or_nan,
)

FLIP_METRICS: dict[str, str] = {
    **{
        f"{prefix}_{name}": definition.format(what)
        for prefix, what in (
            ("flip", "flips"),
            ("to_1", "flips 0 -> 1"),
            ("to_0", "flips 1 -> 0"),
        )
        for name, definition in (
            ("precision", "fraction of the {} that give the true label; NaN if none was made"),
            ("recall", "fraction of the {} called for by the truth that were made"),
            ("f1", "harmonic mean of precision and recall of the {}"),
        )
    },
    "label_accuracy_given": "fraction of cells whose given label is true",
    "label_accuracy_corrected": "fraction of cells whose corrected label is true",
    "residual_noise_given": "fraction of cells whose given label is wrong",
    "residual_noise_corrected": "fraction of cells whose corrected label is wrong",
}
"""Name -> definition of what `flip_metrics` returns; cells known in given, corrected and truth."""


def flip_metrics(given: ArrayLike, corrected: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Score a correction of labels against the truth.

    Parameters
    ----------
    given, corrected, truth : array_like of int (N, L)
        0, 1 or -1. Only cells known in all three count: a blank that was filled is no flip.

    Returns
    -------
    dict
        The fractions that `FLIP_METRICS` defines.

    Raises
    ------
    ValueError
        On shapes that differ or labels other than -1, 0, 1.
    """
    given, corrected, truth = checked_labels(given=given, corrected=corrected, truth=truth)
    cells = (given >= 0) & (corrected >= 0) & (truth >= 0)
    given, corrected, truth = given[cells], corrected[cells], truth[cells]
    flipped, wrong = corrected != given, truth != given
    result = {}
    for prefix, kept in (("flip", given >= 0), ("to_1", given == 0), ("to_0", given == 1)):
        made, needed = flipped[kept].sum(), wrong[kept].sum()
        hits = (flipped & wrong)[kept].sum()
        result[f"{prefix}_precision"] = float(hits / made) if made else float("nan")
        result[f"{prefix}_recall"] = float(hits / needed) if needed else float("nan")
        result[f"{prefix}_f1"] = f1_from_counts(hits, made, needed)
    for name, labels in (("given", given), ("corrected", corrected)):
        result[f"label_accuracy_{name}"] = mean_or_nan(labels == truth)
        result[f"residual_noise_{name}"] = mean_or_nan(labels != truth)
    return {name: result[name] for name in FLIP_METRICS}


def probability_given_wrong(given: ArrayLike, probabilities: ArrayLike) -> NDArray:
    """Turn P(label is 1) into P(given label is wrong) (N, L); NaN where no label is given."""
    (given,) = checked_labels(given=given)
    p = np.asarray(probabilities, dtype=np.float64)
    return np.where(given < 0, np.nan, np.where(given == 1, 1 - p, p))


def label_error_auprc(probability_wrong: ArrayLike, given: ArrayLike, truth: ArrayLike) -> float:
    """Average precision of finding wrong labels, over cells known in given and truth.

    ``probability_wrong`` (N, L) may be NaN where ``given`` is blank. NaN if no label is wrong;
    the fraction of wrong labels is what chance would reach.
    """
    given, truth = checked_labels(given=given, truth=truth)
    known = (given >= 0) & (truth >= 0)
    score = np.asarray(probability_wrong, dtype=np.float64)
    if score.shape != given.shape or not np.isfinite(score[known]).all():
        raise ValueError(
            f"probability_wrong must have shape {given.shape} and be finite in every known cell"
        )
    return average_precision((given != truth)[known], score[known], needs_negative=False)


def flips_by_attribute(
    given: ArrayLike, corrected: ArrayLike, truth: ArrayLike, attributes: Sequence[str]
) -> pd.DataFrame:
    """Count the flips of every attribute (Fig. 5).

    Parameters
    ----------
    given, corrected, truth : array_like of int (N, L)
        0, 1 or -1. A flip needs given and corrected; it is *judged* where truth is known too.
    attributes : sequence of str (L,)

    Returns
    -------
    DataFrame
        attribute_index, attribute, and for to_1 and to_0: the count, ``_judged``, ``_correct``.
    """
    given, corrected, truth = checked_labels(given=given, corrected=corrected, truth=truth)
    check_attribute_names(attributes, truth)
    columns = {"attribute_index": np.arange(truth.shape[1]), "attribute": list(attributes)}
    for new, old in ((1, 0), (0, 1)):
        flips = (given == old) & (corrected == new)
        columns[f"to_{new}"] = flips.sum(axis=0)
        columns[f"to_{new}_judged"] = (flips & (truth >= 0)).sum(axis=0)
        columns[f"to_{new}_correct"] = (flips & (truth == new)).sum(axis=0)
    return pd.DataFrame(columns)


# ------------------------------------------------------------------------------- explanations
EXPLANATION_METRICS: dict[str, str] = {
    "atoms_used": "atoms with a coefficient above .05 in at least one image",
    "atoms_95": "fewest atoms that hold 95 % of all coefficients' mass",
    "atoms_99": "fewest atoms that hold 99 % of all coefficients' mass",
    "nonzeros_per_image": "mean number of atoms with a coefficient above zero in an image",
    "self_coefficient": "mean coefficient of a used atom's own image on that atom",
    "categories_covered": "distinct categories among the used atoms",
    "labels_covered": "attributes that at least one used atom has, by its verified labels",
    "reconstruction_r2": "1 - squared error of coefficients @ basis / variance of the features",
}
"""Name -> definition of what `explanation_metrics` returns."""


def atoms_used(coefficients: sparse.sparray, *, threshold: float = 0.05) -> NDArray:
    """Mark the atoms whose largest coefficient passes ``threshold`` (K,), bool (our choice: .05).

    Raises ValueError, as all below, if ``coefficients`` is not a matrix of weights >= 0.
    """
    c = _checked_coefficients(coefficients)
    if not c.shape[0]:
        return np.zeros(c.shape[1], dtype=bool)
    return c.max(axis=0).toarray().ravel() > threshold


def atoms_holding_mass(coefficients: sparse.sparray, fraction: float) -> int:
    """Count the fewest atoms that hold at least ``fraction`` (0..1) of all coefficients' mass."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must lie in 0..1, got {fraction}")
    mass = np.sort(_checked_coefficients(coefficients).sum(axis=0))[::-1]
    if not mass.sum() or not fraction:
        return 0
    # the slack keeps rounding from asking for one atom more
    return int(np.searchsorted(np.cumsum(mass), fraction * mass.sum() * (1 - 1e-9)) + 1)


def nonzeros_per_image(coefficients: sparse.sparray) -> float:
    """Mean number of atoms with a coefficient above zero; NaN without images."""
    c = _checked_coefficients(coefficients)
    return float((c.data > 0).sum() / c.shape[0]) if c.shape[0] else float("nan")


def self_coefficients(coefficients: sparse.sparray, own_image: ArrayLike) -> NDArray:
    """Coefficient of every atom's own image on that atom (K,).

    Parameters
    ----------
    coefficients : scipy.sparse CSR (N, K)
    own_image : array_like of int (K,)
        Row of the image each atom came from, -1 where it is not among the N.

    Returns
    -------
    ndarray (K,)
        In 0..1; NaN where ``own_image`` is -1. The paper's basis images have about 1.
    """
    c = _checked_coefficients(coefficients)
    own = np.asarray(own_image)
    if own.shape != (c.shape[1],) or (
        own.size and not (own.min() >= -1 and own.max() < c.shape[0])
    ):
        raise ValueError(
            f"own_image must hold {c.shape[1]} rows in -1..{c.shape[0] - 1}, one for each atom"
        )
    result = np.full(len(own), np.nan)
    there = np.flatnonzero(own >= 0)
    if there.size:
        result[there] = np.asarray(c[own[there], there]).ravel()
    return result


def explanation_metrics(
    coefficients: sparse.sparray,
    basis_labels: ArrayLike,
    *,
    own_image: ArrayLike | None = None,
    basis_categories: Sequence[str] | None = None,
    features: ArrayLike | None = None,
    basis: ArrayLike | None = None,
    threshold: float = 0.05,
) -> dict[str, float]:
    """Measure a set of explanations.

    Parameters
    ----------
    coefficients : scipy.sparse CSR (N, K)
    basis_labels : array_like of int (K, L)
        Verified labels of the atoms; -1 covers nothing.
    own_image : array_like of int (K,), optional
        See `self_coefficients`.
    basis_categories : sequence of str (K,), optional
        Missing values cover nothing.
    features, basis : array_like (N, d) and (K, d), optional
    threshold : float
        See `atoms_used`; "used" has this one meaning throughout.

    Returns
    -------
    dict
        What `EXPLANATION_METRICS` defines; NaN where its optional input was not given.

    Raises
    ------
    ValueError
        On shapes that do not fit.
    """
    used = atoms_used(coefficients, threshold=threshold)
    (labels,) = checked_labels(basis_labels=basis_labels)
    for name, rows in (("basis_labels", labels), ("basis_categories", basis_categories)):
        if rows is not None and len(rows) != len(used):
            raise ValueError(
                f"{name} must have {len(used)} rows, one for each atom, not {len(rows)}"
            )
    nan = float("nan")
    result = {
        "atoms_used": float(used.sum()),
        "atoms_95": float(atoms_holding_mass(coefficients, 0.95)),
        "atoms_99": float(atoms_holding_mass(coefficients, 0.99)),
        "nonzeros_per_image": nonzeros_per_image(coefficients),
        "self_coefficient": nan,
        "categories_covered": nan,
        "labels_covered": float((labels[used] == 1).any(axis=0).sum()),
        "reconstruction_r2": nan,
    }
    if own_image is not None:
        result["self_coefficient"] = mean_or_nan(self_coefficients(coefficients, own_image)[used])
    if basis_categories is not None:
        result["categories_covered"] = float(pd.Series(list(basis_categories))[used].nunique())
    if features is not None and basis is not None:
        result["reconstruction_r2"] = explained_variance(features, coefficients @ np.asarray(basis))
    return result


def _checked_coefficients(coefficients: sparse.sparray) -> sparse.csr_array:
    c = sparse.csr_array(coefficients)
    if c.ndim != 2 or not (np.isfinite(c.data).all() and (c.data >= -1e-6).all()):
        raise ValueError("coefficients must be a matrix (N, K) of finite weights >= 0")
    return c
