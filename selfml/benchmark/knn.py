"""A vote of the k nearest clean images in feature space.

Cover and Hart 1967. What a user of embeddings would try first, and an explanation by itself: the
neighbours are shown, but each counts the same and the distance was not learned.
"""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors

from selfml.benchmark.problem import Method, Outcome, Problem
from selfml.flips import logit

SMOOTHING = 0.5  # of a vote with prior 1/2, so that no log-odds are infinite (our choice)


def votes(features: np.ndarray, labels: np.ndarray, clean_rows: np.ndarray, k: int) -> np.ndarray:
    """Smoothed share of the k nearest clean images that have an attribute, (N, L).

    Parameters
    ----------
    features : (N, d) float
    labels : (C, L) int8
        Of ``clean_rows``; unknown ones (-1) do not vote.
    k : int
        A clean image does not vote for itself; where C is smaller, all others vote.
    """
    index = NearestNeighbors(n_neighbors=min(k + 1, len(clean_rows))).fit(features[clean_rows])
    near = index.kneighbors(features, return_distance=False)
    place = np.full(len(features), -1)
    place[clean_rows] = np.arange(len(clean_rows))
    own = near == place[:, None]
    own[~own.any(axis=1), k:] = True  # the k + 1st of an image that is not among them
    cast = (labels[near] >= 0) & ~own[:, :, None]
    present = ((labels[near] == 1) & cast).sum(axis=1)
    return (present + SMOOTHING) / (cast.sum(axis=1) + 2 * SMOOTHING)


def run(problem: Problem, *, k: int = 10) -> Outcome:
    """The vote as probability, and with all features as label score and explanation."""
    clean = problem.clean_rows
    verified = problem.verified[clean]
    score = logit(votes(problem.features, verified, clean, k))
    return Outcome(votes(problem.seen, verified, clean, k), score, score)


METHOD = Method(
    "knn", "kNN vote", "Cover and Hart 1967", run, ({"k": 10}, {"k": 5}, {"k": 20}, {"k": 40})
)
