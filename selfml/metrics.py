"""How well attributes are recognised: Table 1, gains per attribute (Fig. 4), gap closed.

Conventions, for every function here
------------------------------------
``scores`` (N, L) are finite and larger where an attribute is more likely present; with a threshold
they are probabilities. Labels (N, L) hold 0, 1 or -1. **A cell whose truth is -1 is left out**: it
is neither ranked nor counted, for or against; each definition says what is left. Results are
fractions in 0..1 except in `table_1` (percent). A metric with nothing to measure is NaN, never 0.

Which @k*?
----------
k* is the number of true labels of an image. Three readings are published:

1. ``_plain``: the k* best-scored labels are predicted. Precision, recall and F1 are then equal for
   every image, so the paper's unequal columns are not this.
2. The headline: of these k* only what scores at least .5. An image's precision is then never below
   its recall, nor its F1 below the lower of the two; the paper's SELF-ML row (86.30 < 86.75) and
   Baseline 0 row (F1 56.30 below both) cannot be this either.
3. ``_by_label``: reading 1, per label over all images and weighted by support, as scikit-learn's
   "weighted". Of the three only this one allows the order of the paper's numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Metric:
    """One row of a table of metrics: ``function(scores, truth)`` gives a fraction in 0..1."""

    name: str
    function: Callable[[ArrayLike, ArrayLike], float]
    definition: str
    higher_is_better: bool = True
    title: str = ""


# ------------------------------------------------------------------------------ Table 1: @k*
def top_k_predictions(
    scores: ArrayLike, truth: ArrayLike, *, threshold: float | None = None
) -> NDArray:
    """Mark the k* best-scored known labels of each image, k* = its number of known true labels.

    Parameters
    ----------
    scores, truth : array_like (N, L)
    threshold : float, optional
        Keep of these only the ones that score at least this much.

    Returns
    -------
    ndarray of bool (N, L)
        Ties go to the lower attribute index.

    Raises
    ------
    ValueError
        On shapes that differ, scores that are not finite, or labels other than -1, 0, 1.
    """
    scores, truth = checked_scores(scores, truth)
    order = np.argsort(np.where(truth >= 0, -scores, np.inf), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(truth.shape[1])[None, :], axis=1)
    predicted = rank < (truth == 1).sum(axis=1, keepdims=True)
    return predicted if threshold is None else predicted & (scores >= threshold)


def _at_k(
    which: Literal["precision", "recall", "f1"],
    scores: ArrayLike,
    truth: ArrayLike,
    threshold: float | None,
    average: Literal["images", "labels"],
) -> float:
    if average not in ("images", "labels"):
        raise ValueError(f"average must be 'images' or 'labels', got {average!r}")
    predicted = top_k_predictions(scores, truth, threshold=threshold)
    positive = np.asarray(truth) == 1
    axis = 1 if average == "images" else 0
    hits, n_predicted, n_true = (
        cells.sum(axis=axis) for cells in (predicted & positive, predicted, positive)
    )
    counted = n_true > 0
    if not counted.any():
        return float("nan")
    hits, n_predicted, n_true = hits[counted], n_predicted[counted], n_true[counted]
    value = {
        "precision": hits / np.maximum(n_predicted, 1),
        "recall": hits / n_true,
        "f1": 2 * hits / (n_predicted + n_true),
    }[which]
    return float(np.average(value, weights=None if average == "images" else n_true))


def precision_at_k(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    threshold: float | None = None,
    average: Literal["images", "labels"] = "images",
) -> float:
    """Precision@k*: the fraction of `top_k_predictions` that is true, averaged.

    ``average="images"``: the mean over images with k* > 0; an image with nothing predicted has 0.
    ``average="labels"``: per label over all images, then weighted by the labels' support; a label
    never predicted has 0. Parameters and errors are those of `top_k_predictions`.
    """
    return _at_k("precision", scores, truth, threshold, average)


def recall_at_k(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    threshold: float | None = None,
    average: Literal["images", "labels"] = "images",
) -> float:
    """Recall@k*: the fraction of true labels among `top_k_predictions`; see `precision_at_k`."""
    return _at_k("recall", scores, truth, threshold, average)


def f1_at_k(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    threshold: float | None = None,
    average: Literal["images", "labels"] = "images",
) -> float:
    """F1@k*, the mean of F1 (not the F1 of means); see `precision_at_k`."""
    return _at_k("f1", scores, truth, threshold, average)


# ---------------------------------------------------------------------- Table 1: the other columns
def average_precision_all(scores: ArrayLike, truth: ArrayLike) -> float:
    """AP_all: average precision over all known cells as one ranking (micro)."""
    scores, truth = checked_scores(scores, truth)
    known = truth >= 0
    return average_precision(truth[known] == 1, scores[known], needs_negative=False)


def mean_average_precision(scores: ArrayLike, truth: ArrayLike) -> float:
    """MAP: mean AP over attributes with at least one known positive and one known negative."""
    return mean_or_nan(average_precision_per_attribute(scores, truth))


def average_precision_per_attribute(scores: ArrayLike, truth: ArrayLike) -> NDArray:
    """AP of each attribute over its known cells (L,); NaN without a positive or a negative."""
    scores, truth = checked_scores(scores, truth)
    known = truth >= 0
    return np.array(
        [
            average_precision(truth[known[:, j], j] == 1, scores[known[:, j], j])
            for j in range(truth.shape[1])
        ]
    )


def jaccard(scores: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> float:
    """Mean over images of |predicted and true| / |predicted or true| among known cells.

    An image where both sets are empty counts 1 (agreement); one with no known cell is left out.
    """
    predicted, positive, known = _thresholded(scores, truth, threshold)
    both, either = (predicted & positive).sum(axis=1), (predicted | positive).sum(axis=1)
    value = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return mean_or_nan(value[known.any(axis=1)])


def exact_match(scores: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> float:
    """Fraction of images whose known cells are all right; an image with none is left out."""
    predicted, positive, known = _thresholded(scores, truth, threshold)
    return mean_or_nan((predicted == positive).all(axis=1)[known.any(axis=1)])


def overall_f1(scores: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> float:
    """OF1: F1 over all known cells pooled; NaN if nothing is true and nothing predicted."""
    predicted, positive, _ = _thresholded(scores, truth, threshold)
    return f1_from_counts((predicted & positive).sum(), predicted.sum(), positive.sum())


def class_f1(scores: ArrayLike, truth: ArrayLike, *, threshold: float = 0.5) -> float:
    """CF1: harmonic mean of mean precision and mean recall over attributes with a known positive.

    The usual one in multi-label work (Wang et al. 2016, CNN-RNN), not the mean of per-label F1. An
    attribute never predicted has precision 0.
    """
    predicted, positive, _ = _thresholded(scores, truth, threshold)
    kept = positive.any(axis=0)
    if not kept.any():
        return float("nan")
    hits = (predicted & positive).sum(axis=0)[kept]
    precision = float((hits / np.maximum(predicted.sum(axis=0)[kept], 1)).mean())
    recall = float((hits / positive.sum(axis=0)[kept]).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


_HALF = "of an image's k* best-scored known labels those with score >= .5 are predicted"
_PLAIN = "an image's k* best-scored known labels are predicted"
_IMAGES = "mean over images with k* > 0"
_LABELS = "per label, weighted by support"

TABLE_1: tuple[Metric, ...] = (
    *(
        Metric(
            f"{name}_at_k{suffix}",
            partial(function, **settings),
            f"{title}: {what}; {over}",
            title=f"{title}@k*{tail}",
        )
        for suffix, tail, what, over, settings in (
            ("", "", _HALF, _IMAGES, {"threshold": 0.5}),
            ("_plain", " (plain)", _PLAIN, _IMAGES, {}),
            ("_by_label", " (by label)", _PLAIN, _LABELS, {"average": "labels"}),
        )
        for name, title, function in (
            ("precision", "Precision", precision_at_k),
            ("recall", "Recall", recall_at_k),
            ("f1", "F1", f1_at_k),
        )
    ),
    Metric(
        "ap_all",
        average_precision_all,
        "average precision of all known cells as one ranking",
        title="AP_all",
    ),
    Metric(
        "map",
        mean_average_precision,
        "mean average precision over attributes with a known positive and a known negative",
        title="MAP",
    ),
    Metric(
        "jaccard",
        jaccard,
        "mean over images of intersection over union of predicted (>= .5) and true, known cells",
        title="Jaccard similarity",
    ),
    Metric(
        "exact_match",
        exact_match,
        "fraction of images with every known cell right at threshold .5",
        title="0-1 exact match",
    ),
    Metric("of1", overall_f1, "F1 at threshold .5 over all known cells pooled", title="OF1"),
    Metric(
        "cf1",
        class_f1,
        "harmonic mean of precision and recall at .5, each averaged over attributes",
        title="CF1",
    ),
)
"""Every classification metric; `HEADLINE` names the paper's seven columns among them, in order."""

HEADLINE = ("precision_at_k", "recall_at_k", "f1_at_k", "ap_all", "map", "jaccard", "exact_match")


def table_1(scores: ArrayLike, truth: ArrayLike) -> dict[str, float]:
    """Compute every row of `TABLE_1`, in percent, by name.

    Raises
    ------
    ValueError
        As `top_k_predictions`, and if a score lies outside 0..1: half the table is cut at .5.
    """
    scores, truth = checked_scores(scores, truth)
    if scores.size and not (scores.min() >= -1e-6 and scores.max() <= 1 + 1e-6):
        raise ValueError(
            f"scores must be probabilities in 0..1, got {scores.min():.3g}..{scores.max():.3g}; "
            "pass logits through a sigmoid first"
        )
    return {metric.name: 100 * metric.function(scores, truth) for metric in TABLE_1}


def gap_closed(method: float, baseline0: float, oracle: float) -> float:
    """Share of the way from Baseline 0 to the oracle: 0 = no better, 1 = as good as true labels.

    The three are one metric in one unit. NaN where the oracle equals Baseline 0.
    """
    return (method - baseline0) / (oracle - baseline0) if oracle != baseline0 else float("nan")


# ------------------------------------------------------------------------------------- shared
def checked_labels(**labels: ArrayLike) -> list[NDArray]:
    """Return the label matrices as arrays; ValueError unless (N, L) alike and of -1, 0, 1."""
    arrays = {name: np.asarray(values) for name, values in labels.items()}
    shape = next(iter(arrays.values())).shape
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape != shape:
            raise ValueError(
                f"{name} must be (N, L) like the others, got {array.shape} for {shape}"
            )
        if not np.isin(array, (-1, 0, 1)).all():
            raise ValueError(f"{name} must hold only 0, 1 and -1 (unknown)")
    return list(arrays.values())


def checked_scores(scores: ArrayLike, truth: ArrayLike) -> tuple[NDArray, NDArray]:
    """Scores (N, L) float64 and labels as arrays; ValueError on other shapes or values."""
    (truth,) = checked_labels(truth=truth)
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != truth.shape:
        raise ValueError(f"scores must have the shape of truth {truth.shape}, got {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite; found NaN or infinity")
    return scores, truth


def check_attribute_names(attributes: Sequence[str], truth: NDArray) -> None:
    """Raise ValueError unless there is one name for each column."""
    if len(attributes) != truth.shape[1]:
        raise ValueError(f"attributes must name {truth.shape[1]} columns, got {len(attributes)}")


def _thresholded(
    scores: ArrayLike, truth: ArrayLike, threshold: float
) -> tuple[NDArray, NDArray, NDArray]:
    scores, truth = checked_scores(scores, truth)
    known = truth >= 0
    return (scores >= threshold) & known, truth == 1, known


def average_precision(positive: NDArray, scores: NDArray, needs_negative: bool = True) -> float:
    """AP of one ranking (scikit-learn's); NaN without a positive, or by choice a negative."""
    if not positive.any() or (needs_negative and positive.all()):
        return float("nan")
    from sklearn.metrics import average_precision_score  # the dashboard loads this module too

    return float(average_precision_score(positive, scores))


def f1_from_counts(hits: int, predicted: int, true: int) -> float:
    """F1 = 2 hits / (predicted + true); NaN where nothing is predicted and nothing true."""
    return float(2 * hits / (predicted + true)) if predicted + true else float("nan")


def mean_or_nan(values: NDArray) -> float:
    """Mean of what is not NaN; NaN if nothing is."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
