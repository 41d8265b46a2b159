"""Which image to verify next, and what each way of choosing is worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from selfml.benchmark.acquisition_strategies import STRATEGIES, Pool
from selfml.calibration import fit_platt
from selfml.crossfit import leave_one_out_scores
from selfml.explanation_metrics import flip_metrics
from selfml.flips import EvidenceModel, given_term, sigmoid
from selfml.metrics import mean_average_precision
from selfml.rates import annotation_rates

MAX_LOGIT = 8.0  # as in selfml.explain, which needs Keras
COLUMNS = ["strategy", "budget", "metric", "value"]

Array = np.ndarray


def choose(
    strategy: str,
    features: Array,
    verified_rows: Array,
    candidates: Array,
    probabilities: Array,
    n: int,
    seed: int,
) -> Array:
    """Rows (n,) to verify next, distinct, from candidates (M,) that are not in verified_rows (V,).

    ``features`` are (N, d); ``probabilities`` (N, L) those of the corrected labels so far.

    Raises
    ------
    ValueError
        For a strategy not in ``STRATEGIES``, or when n is negative or more than there are left.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy: must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
    free = np.setdiff1d(candidates, verified_rows)
    if not 0 <= n <= len(free):
        raise ValueError(f"n: must be in 0..{len(free)} (unverified candidates), got {n}")
    if n == 0:
        return free[:0]
    arrays = (features[free], features[verified_rows], probabilities[free])
    pool = Pool(*(np.asarray(values, np.float64) for values in arrays))
    return free[STRATEGIES[strategy](pool, n, np.random.default_rng([seed, 17]))]


def corrected_log_odds(
    features: Array, given: Array, verified: Array, rows: Array, categories: Array | None = None
) -> Array:
    """Log-odds (N, L) of all labels: a classifier cross-fitted on ``rows`` (V,) and given labels.

    As ``selfml.explain.evidence_inputs``; ``verified`` (N, L) is read at ``rows`` only.
    """
    labels = verified[rows]
    scores = leave_one_out_scores(features, labels, rows).scores
    slope, intercept = fit_platt(scores[rows], labels)
    rates = annotation_rates(given[rows], labels, None if categories is None else categories[rows])
    zeros = np.zeros(given.shape[1])
    model = EvidenceModel(zeros, 0.1, zeros, zeros, zeros, zeros, rates.llr, rates.categories)
    term = given_term(model, given, model.category_index(categories, len(given)))
    return np.clip(slope * scores + intercept, -MAX_LOGIT, MAX_LOGIT) + term


def simulate(
    features: Array,
    given: Array,
    truth: Array,
    start_rows: Array,
    pool_rows: Array,
    eval_rows: Array,
    budgets: Sequence[int],
    strategies: Sequence[str],
    seed: int,
    categories: Array | None = None,
) -> pd.DataFrame:
    """Verify a pool batch by batch; its true labels are read only once chosen.

    Parameters
    ----------
    features : (N, d) float
    given, truth : (N, L) int8
        -1 unknown.
    start_rows, pool_rows, eval_rows : (S,), (M,), (E,) int
        Verified from the start, to choose from, and to measure on.
    budgets : sequence of int
        Images verified in all, those of the start included; ascending.
    categories : (N,) str or None

    Returns
    -------
    DataFrame
        strategy, budget, metric, value in 0..1; metrics ``label_accuracy`` and ``flip_f1`` of the
        corrected labels and ``map`` of their log-odds, which know the given labels.

    Raises
    ------
    ValueError
        When evaluation rows could be verified, or budgets descend or cannot be met.
    """
    start, pool = np.unique(start_rows), np.setdiff1d(pool_rows, start_rows)
    if np.isin(eval_rows, np.concatenate([start, pool])).any():
        raise ValueError("eval_rows: some are in start_rows or pool_rows; take them out there")
    steps = np.diff([len(start), *budgets])
    if (steps < 0).any() or steps.sum() > len(pool):
        limits = f"{len(start)}..{len(start) + len(pool)}"
        raise ValueError(f"budgets: must ascend within {limits}, got {list(budgets)}")
    found = []
    for strategy in strategies:
        rows, score = start, corrected_log_odds(features, given, truth, start, categories)
        for budget, n in zip(budgets, steps.tolist(), strict=True):
            if n:
                new = choose(strategy, features, rows, pool, sigmoid(score), n, seed + len(rows))
                rows = np.union1d(rows, new)
                score = corrected_log_odds(features, given, truth, rows, categories)
            values = _measures(score[eval_rows], given[eval_rows], truth[eval_rows])
            found += [(strategy, budget, *value) for value in values.items()]
    return pd.DataFrame(found, columns=COLUMNS)


def _measures(score: Array, given: Array, truth: Array) -> dict[str, float]:
    flips = flip_metrics(given, (score > 0).astype(np.int8), truth)
    accuracy, f1 = flips["label_accuracy_corrected"], flips["flip_f1"]
    return {"label_accuracy": accuracy, "flip_f1": f1, "map": mean_average_precision(score, truth)}
