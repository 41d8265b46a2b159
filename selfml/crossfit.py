"""What a classifier that never saw an image says of it: leave-one-out ridge regression.

Notation: X (C, d) features of the clean training images, Y (C, L) their verified labels in
{-1, +1}; unknown cells are left out attribute by attribute. In-sample scores of a classifier
fitted on C calibrate to absurd slopes, so the flipping module must get scores of images by
classifiers that were not fitted on them (method.md, Modules 4). Kernel ridge regression gives
them in closed form: with G = (K + lambda I)^-1 and alpha = G y, the prediction for image i
with i left out is y_i - alpha_i / G_ii (Allen 1974, PRESS). This is the limit of cross-fitting
in C folds, costs about a second, and on the photographs its labels were at least as good as
those of five fine-tuned networks (our choice).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROWS_AT_ONCE = 4096
# Scores are rounded: what the threads of a product leave in the last bits would else now and then
# turn over a bit of float32, and Adam makes that large.
DECIMALS = 5
PENALTIES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class CrossFit:
    """Scores of all images by classifiers on the clean training images.

    Attributes
    ----------
    scores : (N, L) float
        Above zero means present. Rows of clean training images are left-one-out.
    penalty : float
        The ridge penalty chosen, as a fraction of the mean kernel diagonal times C.
    weight : (d, L) float64
    bias : (L,) float64
        Of the classifier fitted on all clean images: ``x @ weight + bias`` are the scores of images
        that are not among them, and of any other (:func:`scores_of`).
    """

    scores: np.ndarray
    penalty: float
    weight: np.ndarray
    bias: np.ndarray


def leave_one_out_scores(
    features: np.ndarray,
    labels: np.ndarray,
    clean_rows: np.ndarray,
    *,
    penalties: tuple[float, ...] = PENALTIES,
) -> CrossFit:
    """Fit on the clean rows and score every image, each clean row without itself.

    Parameters
    ----------
    features : (N, d) float
        Standardised features.
    labels : (C, L) int8
        Verified labels of ``clean_rows``, -1 unknown.
    clean_rows : (C,) int
        Where the clean training images are among the N.
    penalties : tuple of float
        Candidates; the one with the least left-out squared error is taken, for all attributes
        together, as rare attributes have too few positives to choose by themselves.

    Raises
    ------
    ValueError
        When there are fewer than three clean rows.
    """
    if len(clean_rows) < 3:
        raise ValueError(f"clean_rows: at least 3 are needed, got {len(clean_rows)}")
    # In float64: the last bit of a product depends on the processor's threads, and left-out
    # scores multiply what is lost in it by thousands.
    x = np.asarray(features)
    anchors = x[clean_rows].astype(np.float64)
    scale = float(np.mean(np.sum(np.square(anchors), axis=1))) or 1.0
    gram = anchors @ anchors.T / scale + 1.0
    known, pattern = np.unique(labels >= 0, axis=1, return_inverse=True)
    pattern = pattern.reshape(-1)
    fits = [_Ridge(gram, known[:, p], labels[:, pattern == p]) for p in range(known.shape[1])]
    errors = [sum(fit.error(penalty) for fit in fits) for penalty in penalties]
    best = penalties[int(np.argmin(errors))]
    weights = np.zeros((len(anchors), labels.shape[1]))
    scores = np.zeros((len(x), labels.shape[1]), np.float32)
    solved = [(np.flatnonzero(pattern == p), fit, *fit.solve(best)) for p, fit in enumerate(fits)]
    for columns, fit, dual, _ in solved:
        weights[np.ix_(fit.rows, columns)] = dual
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        scores[rows] = (x[rows].astype(np.float64) @ anchors.T / scale + 1.0) @ weights
    for columns, fit, _, left_out in solved:
        scores[np.ix_(clean_rows[fit.rows], columns)] = left_out
    return CrossFit(
        scores=np.round(scores, DECIMALS),
        penalty=best,
        weight=anchors.T @ weights / scale,
        bias=weights.sum(axis=0),
    )


def scores_of(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Scores (n, L) float32 of images (n, d) by the classifier fitted on all clean images.

    Rounded as those of :func:`leave_one_out_scores` are.
    """
    scores = np.asarray(features, np.float64) @ weight + bias
    return np.round(scores.astype(np.float32), DECIMALS)


class _Ridge:
    """Kernel ridge regression of attributes whose labels are known on the same images."""

    def __init__(self, gram: np.ndarray, known: np.ndarray, labels: np.ndarray):
        self.rows = np.flatnonzero(known)
        self.target = 2.0 * labels[self.rows] - 1.0
        part = gram[np.ix_(self.rows, self.rows)]
        self.values, self.vectors = np.linalg.eigh(part)
        self.values = np.maximum(self.values, 0.0)
        self.projected = self.vectors.T @ self.target
        self.squares = np.square(self.vectors)

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Dual weights and left-out predictions, each (rows, attributes)."""
        inverse = 1.0 / (self.values + penalty * max(len(self.rows), 1))
        weights = self.vectors @ (inverse[:, None] * self.projected)
        diagonal = self.squares @ inverse
        return weights, self.target - weights / diagonal[:, None]

    def error(self, penalty: float) -> float:
        """Sum of squared left-out errors, each attribute relative to its variance."""
        _, left_out = self.solve(penalty)
        spread = np.maximum(self.target.var(axis=0), 0.02) if len(self.rows) else 1.0
        return float(np.sum(np.square(left_out - self.target) / spread))
