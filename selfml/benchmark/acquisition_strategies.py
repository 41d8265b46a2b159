"""Ways to choose the images whose labels are verified next.

Notation: M candidates, V images verified so far; ``p_ij`` is the current probability that candidate
i has attribute j; ``u_i = sum_j min(p_ij, 1 - p_ij)`` the number of its labels expected to be
wrong; ``k_ij = exp(-||x_i - x_j||^2 / h^2)``, with h^2 the median over images of the squared
distance to the 10th nearest other.

A strategy takes a :class:`Pool`, the number n of images wanted (1 <= n <= M) and a generator, and
gives places (n,) among the candidates, distinct, ties to the lowest.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from selfml.hull import farthest_first
from selfml.suggestions import most_uncertain

NEIGHBOURS, SUFFICIENT = 10, 2_000


@dataclass(frozen=True, eq=False)
class Pool:
    """What there is to choose from.

    Attributes
    ----------
    features : (M, d) float64
    verified : (V, d) float64
        Features of what is verified.
    probabilities : (M, L) float64 in 0..1
        That a corrected label is 1.
    """

    features: np.ndarray
    verified: np.ndarray
    probabilities: np.ndarray


def by_chance(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """Any."""
    return rng.choice(len(pool.features), n, replace=False)


def by_basis(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """Typical images: k-means of the candidates, then the free image nearest to each centre."""
    seed = int(rng.integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than n
        fit = KMeans(n, n_init=1, max_iter=10, random_state=seed).fit(pool.features)
    away = squared_distances(fit.cluster_centers_, pool.features)
    chosen = np.empty(n, np.int64)
    for i in range(n):
        chosen[i] = np.argmin(away[i])
        away[:, chosen[i]] = np.inf
    return chosen


def uncovered(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """Each as far as can be from all verified and chosen before (Gonzalez 1985)."""
    x = pool.features
    if not len(pool.verified):
        return farthest_first(x, n, rng)
    nearest = squared_distances(x, pool.verified).min(axis=1)
    chosen = np.empty(n, np.int64)
    for i in range(n):
        chosen[i] = np.argmax(nearest)
        nearest = np.minimum(nearest, squared_distances(x, x[chosen[i], None])[:, 0])
        nearest[chosen[: i + 1]] = -1.0
    return chosen


def uncertain(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The highest mean binary entropy of the labels (Settles 2009, uncertainty sampling)."""
    return most_uncertain(pool.probabilities, n)


def effect(pool: Pool, n: int, rng: np.random.Generator) -> np.ndarray:
    """The most wrong labels in reach, ``sum_j k_ij u_j``, one image after another.

    After image i is chosen ``u_j`` is multiplied by ``1 - k_ij``: what it will settle is not
    counted again. Our form of information density (Settles and Craven 2008). The sum is over at
    most 2,000 candidates drawn by chance; h is theirs too.
    """
    sample = np.sort(rng.permutation(len(pool.features))[:SUFFICIENT])
    away = squared_distances(pool.features, pool.features[sample])
    last = min(NEIGHBOURS, len(sample) - 1)  # place 0 is the image itself
    width = float(np.median(np.sort(away[sample], axis=1)[:, last])) or 1.0
    kernel = np.exp(-away / width)
    at_stake = np.minimum(pool.probabilities, 1.0 - pool.probabilities).sum(axis=1)[sample]
    chosen = np.empty(n, np.int64)
    for i in range(n):
        reach = kernel @ at_stake
        reach[chosen[:i]] = -1.0
        chosen[i] = np.argmax(reach)
        at_stake = at_stake * (1.0 - kernel[chosen[i]])
    return chosen


STRATEGIES = {
    "random": by_chance,
    "basis": by_basis,
    "uncovered": uncovered,
    "uncertain": uncertain,
    "effect": effect,
}


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """``||x_i - y_j||^2`` of (A, d) and (B, d), (A, B)."""
    cross = np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2.0 * x @ y.T
    return np.maximum(cross, 0.0)
