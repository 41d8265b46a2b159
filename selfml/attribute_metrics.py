"""Average precision and gain by attribute, with bootstrap intervals (paper, Fig. 4).

Conventions are those of :mod:`selfml.metrics`: ``scores`` and ``truth`` are (N, L), a truth of -1
is left out, and a metric with nothing to measure is NaN.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from selfml.intervals import image_resamples, percentile_interval
from selfml.metrics import (
    average_precision_per_attribute,
    check_attribute_names,
    checked_scores,
    mean_or_nan,
)


def attribute_table(scores: ArrayLike, truth: ArrayLike, attributes: Sequence[str]) -> pd.DataFrame:
    """Average precision and frequency of every attribute, in the order given.

    Parameters
    ----------
    scores, truth : array_like (N, L)
    attributes : sequence of str (L,)

    Returns
    -------
    DataFrame
        attribute_index, attribute, support (known positives), known (known cells), prevalence
        (support / known, NaN if none), average_precision (see `average_precision_per_attribute`).

    Raises
    ------
    ValueError
        As `top_k_predictions`, and if there are not L attributes.
    """
    scores, truth = checked_scores(scores, truth)
    check_attribute_names(attributes, truth)
    support, known = (truth == 1).sum(axis=0), (truth >= 0).sum(axis=0)
    return pd.DataFrame(
        {
            "attribute_index": np.arange(truth.shape[1]),
            "attribute": list(attributes),
            "support": support,
            "known": known,
            "prevalence": np.where(known > 0, support / np.maximum(known, 1), np.nan),
            "average_precision": average_precision_per_attribute(scores, truth),
        }
    )


def gain_table(
    scores: ArrayLike,
    baseline_scores: ArrayLike,
    truth: ArrayLike,
    attributes: Sequence[str],
    *,
    n_resamples: int = 1_000,
    confidence_level: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """AP gain per attribute, most frequent first (Fig. 4), with paired bootstrap intervals.

    Parameters
    ----------
    scores, baseline_scores, truth : array_like (N, L)
    attributes : sequence of str (L,)
    n_resamples : int
        Resamples of the images; 0 leaves the intervals NaN.
    confidence_level : float
        Between 0 and 1; percentile intervals.
    seed : int or numpy.random.Generator

    Returns
    -------
    DataFrame
        Columns of `attribute_table` plus baseline_average_precision, gain, gain_low, gain_high
        (fractions), sorted by support, ties by index. A resample without a positive or a negative
        of an attribute does not count for it.
    dict
        gain, gain_low, gain_high of MAP.

    Raises
    ------
    ValueError
        As `attribute_table`, or if ``confidence_level`` or ``n_resamples`` is out of range.
    """
    if not 0 < confidence_level < 1 or n_resamples < 0:
        raise ValueError(
            "confidence_level must lie between 0 and 1 and n_resamples be at least 0, "
            f"got {confidence_level} and {n_resamples}"
        )
    table = attribute_table(scores, truth, attributes)
    baseline = average_precision_per_attribute(baseline_scores, truth)
    gain = table["average_precision"].to_numpy() - baseline
    ours, theirs = resampled_average_precision(
        [scores, baseline_scores], truth, n_resamples=n_resamples, seed=seed
    )
    low, high = percentile_interval(ours - theirs, confidence_level)
    table = table.assign(
        baseline_average_precision=baseline, gain=gain, gain_low=low, gain_high=high
    )
    means = np.array([[mean_or_nan(row)] for row in ours - theirs]).reshape(-1, 1)
    (mean_low,), (mean_high,) = percentile_interval(means, confidence_level)
    overall = {
        "gain": mean_or_nan(gain),
        "gain_low": float(mean_low),
        "gain_high": float(mean_high),
    }
    order = np.argsort(-table["support"].to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True), overall


def resampled_average_precision(
    scores: Sequence[ArrayLike],
    truth: ArrayLike,
    *,
    n_resamples: int = 1_000,
    seed: int | np.random.Generator = 0,
) -> NDArray[np.float64]:
    """Average precision of each attribute in each resample of the images.

    Parameters
    ----------
    scores : sequence of array_like (N, L)
        M rankings of the same images; all are measured on the same resamples.
    truth : array_like (N, L)
    n_resamples : int
        B.
    seed : int or numpy.random.Generator

    Returns
    -------
    ndarray (M, B, L)
        Fractions; NaN where a resample has no positive or no negative of an attribute.
    """
    _, truth = checked_scores(truth, truth)
    rankings = [checked_scores(one, truth)[0] for one in scores]
    n, n_attributes = truth.shape
    found = np.full((len(rankings), n_resamples, n_attributes), np.nan)
    for block, counts in image_resamples(n, n_resamples, seed):
        for j in range(n_attributes):
            known = np.flatnonzero(truth[:, j] >= 0)
            weights, positive = counts[known], truth[known, j] == 1
            for m, ranking in enumerate(rankings):
                found[m, block, j] = _weighted_average_precision(
                    ranking[known, j], positive, weights
                )
    return found


def _weighted_average_precision(scores: NDArray, positive: NDArray, weights: NDArray) -> NDArray:
    """AP of one ranking under each column of integer weights (n, B); ties share one threshold.

    Only thresholds that add a positive matter, so the ranking is summed up between those.
    """
    if not positive.any() or positive.all():
        return np.full(weights.shape[1], np.nan)
    order = np.argsort(-scores, kind="stable")
    _, first, tie = np.unique(-scores[order], return_index=True, return_inverse=True)
    ends = np.append(first[1:], len(scores))[np.unique(tie[positive[order]])]
    starts = np.append(0, ends[:-1])
    seen = np.cumsum(np.add.reduceat(weights[order[: ends[-1]]], starts, axis=0), axis=0)
    rank_of_positive = np.flatnonzero(positive[order])
    first_of_group = np.searchsorted(rank_of_positive, starts)
    gained = np.add.reduceat(weights[order[rank_of_positive]], first_of_group, axis=0)
    hits = np.cumsum(gained, axis=0)
    total = hits[-1]
    area = (gained * (hits / np.maximum(seen, 1))).sum(axis=0) / np.maximum(total, 1)
    return np.where((total > 0) & (total < weights.sum(axis=0)), area, np.nan)
