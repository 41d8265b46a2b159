"""cleanlab's multi-label issue finder: flag, flip what is flagged, retrain.

Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021; Thyagarajan et al. 2022 for several
labels; cleanlab 2.9, ``multilabel_classification.filter``. It wants probabilities by a model that
did not see the image: of five-fold ridge regression on the given labels, as a user without
clean labels would, or of the leave-one-out regression on C that SELF-ML uses too.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict

from selfml.benchmark.label_cleaner import train_on
from selfml.benchmark.problem import Method, Outcome, Problem
from selfml.calibration import fit_platt
from selfml.crossfit import leave_one_out_scores
from selfml.flips import logit, sigmoid

LEAST = 0.01  # log-odds of a corrected label beyond the model's: never 0, the sign is cleanlab's


def flagged(given: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Cells (N, L) that cleanlab takes for wrong; never an unknown one (-1).

    Raises
    ------
    ValueError
        When cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise ValueError(
            "--methods: cleanlab is not installed; pip install 'selfml[benchmark]'"
        ) from error
    wrong = np.zeros(given.shape, bool)
    for j in range(given.shape[1]):  # one-vs-rest, as its find_multilabel_issues_per_class
        rows = np.flatnonzero(given[:, j] >= 0)
        labels, p = given[rows, j].astype(int), probabilities[rows, j]
        if len(np.unique(labels)) < 2:
            continue
        pair = np.stack([1 - p, p], axis=1)
        wrong[rows, j] = find_label_issues(labels=labels, pred_probs=pair, n_jobs=1)
    return wrong


def out_of_sample(problem: Problem, predictions: str) -> np.ndarray:
    """Probabilities (N, L) by models that did not learn from an image's own label."""
    if predictions == "clean":
        clean = problem.clean_rows
        fit = leave_one_out_scores(problem.features, problem.verified[clean], clean)
        slope, intercept = fit_platt(fit.scores[clean], problem.verified[clean])
        return sigmoid(slope * fit.scores + intercept)
    target = np.maximum(problem.given, 0).astype(np.float32)
    strength = 0.1 * float(np.square(problem.features).sum()) / problem.features.shape[1]
    rows = problem.train_rows
    model = Ridge(alpha=strength)
    found = model.fit(problem.features[rows], target[rows]).predict(problem.features)
    found[rows] = cross_val_predict(model, problem.features[rows], target[rows], cv=5)
    return np.clip(found, 1e-3, 1 - 1e-3)


def run(problem: Problem, *, predictions: str = "noisy") -> Outcome:
    """Flag, flip and retrain."""
    given = problem.given
    probabilities = out_of_sample(problem, predictions)
    wrong = np.zeros(given.shape, bool)
    rest = np.setdiff1d(np.arange(len(given)), problem.train_rows)
    for rows in (problem.train_rows, rest):  # images apart do not move what is flagged in training
        wrong[rows] = flagged(given[rows], probabilities[rows])
    corrected = np.where(wrong, 1 - given, given)
    sure = np.abs(logit(np.clip(probabilities, 1e-3, 1 - 1e-3))) + LEAST
    score = np.where(corrected < 0, 0.0, sure * (2.0 * corrected - 1.0))
    return train_on(problem, corrected, score)


METHOD = Method(
    "cleanlab",
    "cleanlab",
    "cleanlab 2.9; Northcutt et al. 2021",
    run,
    ({"predictions": "noisy"}, {"predictions": "clean"}),
)
