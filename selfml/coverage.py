"""Which images a basis covers, and how much of the features it explains by number of atoms.

Notation
--------
``X`` (n, d) are the images measured, ``B`` (K, d) the atoms, ``c`` (n, K) the coefficients, rows on
the simplex. For ``k`` atoms ``S`` the explained variance of a reconstruction ``X~`` is
``1 - ||X - X~||^2 / ||X - mean||^2``. Whatever lies in the hull of k atoms lies in a plane of k - 1
dimensions, so k - 1 principal components of ``X`` bound it: no choice of k atoms can do better.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from selfml.hull import (
    explained_variance,
    farthest_first,
    hull_coefficients,
    pca_explained_variance,
)
from selfml.run import Run

CURVES = {
    "learned": "the k most used atoms, with the coefficients that explain the labels",
    "hull": "the k most used atoms, with the best convex coefficients (projection onto the hull)",
    "farthest": "k images chosen farthest-first, with the best convex coefficients",
    "pca": "k - 1 principal components: the bound for any k atoms",
}
FALSE_ALARM = 0.05  # our choice: 19 test images are enough to draw the line
SIZES = (5, 10, 20, 40, 80, 160, 320, 640, 1280)  # our choice: doubling, the paper's 40 among them
MEASURED, CANDIDATES = 1_000, 4_000  # images; a sample keeps `selfml evaluate` within seconds
TOLERANCE = 1e-2  # of the squared distance to the mean atom, as for the stored hull distances


def variance_curves(
    features: np.ndarray,
    basis: np.ndarray,
    coefficients: sparse.csr_matrix,
    mass: np.ndarray,
    candidates: np.ndarray,
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> pd.DataFrame:
    """Explained variance by number of atoms, for each of ``CURVES``.

    Parameters
    ----------
    features : (n, d) float
        The images measured.
    basis : (K, d) float
    coefficients : (n, K) sparse
        Those of the measured images, as learned.
    mass : (K,) float
        What the atoms are ordered by, largest first: their coefficients' sum over all images.
    candidates : (M, d) float
        What farthest-first chooses from; none of them measured.
    sizes : sequence of int
        Numbers of atoms; K is added, larger ones are left out.
    seed : int
        Draws farthest-first's first image.

    Returns
    -------
    DataFrame
        curve, n_atoms, value (%, at most 100, may be negative), n_images. Empty where the features
        do not vary.

    Raises
    ------
    ValueError
        On shapes that do not fit.

    Notes
    -----
    With fewer than all atoms, learned coefficients are what is left of them, scaled to sum to one;
    an image that leaned on none of those left stands on their mean. Both choices are ours.
    """
    x, atoms = np.asarray(features, np.float64), np.asarray(basis, np.float64)
    rows = coefficients.shape[0], coefficients.shape[1], len(mass)
    if rows != (len(x), len(atoms), len(atoms)):
        raise ValueError(
            f"coefficients and mass must fit {len(x)} images and {len(atoms)} atoms, got "
            f"{coefficients.shape} and {len(mass)}"
        )
    columns = ["curve", "n_atoms", "value", "n_images"]
    if not len(x) or not np.ptp(x, axis=0).any():
        return pd.DataFrame(columns=columns)
    order = np.argsort(-np.asarray(mass), kind="stable")
    n_far = min(len(candidates), len(atoms))
    far = np.asarray(candidates, np.float64)
    far = far[farthest_first(far, n_far, seed)] if n_far else far
    found = []
    for k in sorted({k for k in sizes if k < len(atoms)} | {len(atoms)}):
        left = order[:k]
        found.append(("learned", k, explained_variance(x, _learned(coefficients, atoms, left))))
        found.append(("hull", k, _best_convex(x, atoms[left])))
        if k <= n_far:
            found.append(("farthest", k, _best_convex(x, far[:k])))
        found.append(("pca", k, pca_explained_variance(x, k - 1)))
    rows = [(curve, k, 100 * value, len(x)) for curve, k, value in found]
    return pd.DataFrame(rows, columns=columns)


def _learned(coefficients: sparse.csr_matrix, atoms: np.ndarray, left: np.ndarray) -> np.ndarray:
    c = np.asarray(coefficients[:, left].todense(), np.float64)
    total = c.sum(axis=1, keepdims=True)
    c = np.where(total > 0, c / np.where(total > 0, total, 1), 1 / len(left))
    return c @ atoms[left]


def _best_convex(x: np.ndarray, atoms: np.ndarray) -> float:
    hull = hull_coefficients(x, atoms, tolerance=TOLERANCE, threads=os.cpu_count() or 1)
    return explained_variance(x, hull.coefficients @ atoms)


def measure_coverage(run: Run, seed: int = 0) -> pd.DataFrame:
    """The curves of a run, on a seeded sample of its noisy images.

    At most ``MEASURED`` noisy images are measured, at most ``CANDIDATES`` others are there for
    farthest-first to choose from: those need no verified label, which is the most that coverage
    alone could reach. ``seed`` draws both.

    Returns
    -------
    DataFrame
        See `variance_curves`.
    """
    split = run.table("images", ["split"])["split"].to_numpy()
    noisy = np.flatnonzero(np.char.startswith(split.astype(str), "noisy"))
    mixed = np.random.default_rng([seed, 23]).permutation(noisy)
    n = min(MEASURED, (len(mixed) + 1) // 2)
    measured, others = np.sort(mixed[:n]), np.sort(mixed[n : n + CANDIDATES])
    features = run.array("features")
    return variance_curves(
        np.asarray(features[measured], np.float64),
        np.asarray(run.array("basis"), np.float64),
        run.coefficients()[measured],
        run.table("basis", ["mass"])["mass"].to_numpy(np.float64),
        np.asarray(features[others], np.float64),
        seed=seed,
    )


def coverage_cut(reference_distance: ArrayLike, false_alarm: float = FALSE_ALARM) -> float:
    """The hull distance beyond which an image is called uncovered.

    Parameters
    ----------
    reference_distance : array_like (R,)
        Hull distances of verified images that are kept aside and are no atoms: the clean test
        images. NaN is left out.
    false_alarm : float
        In 0..1, exclusive: how often an image that is like the reference may be called uncovered.

    Returns
    -------
    float
        The ``ceil((R + 1) (1 - false_alarm))``-th smallest distance; ``inf`` where there is none,
        that is with fewer than ``1 / false_alarm - 1`` reference images (19 for 0.05).

    Raises
    ------
    ValueError
        If ``false_alarm`` is not between 0 and 1.

    Notes
    -----
    A conformal p-value for novelty (Bates et al. 2023, "Testing for outliers with conformal
    p-values"): an image drawn as the reference images were lies beyond the cut with probability at
    most ``false_alarm``, whatever the distribution of distances. No label is used. It is not
    circular: a percentile of the images that are judged would call the same share uncovered in
    every catalogue, and atoms lie at distance 0 of their own hull; the reference images are
    neither. They are also the images on which the run's accuracy was measured, so beyond the cut
    the measured accuracy speaks for almost nothing.
    """
    if not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm must lie between 0 and 1, got {false_alarm}")
    known = np.asarray(reference_distance, dtype=np.float64).ravel()
    known = np.sort(known[np.isfinite(known)])
    rank = math.ceil((len(known) + 1) * (1 - false_alarm) - 1e-9)  # rounding asks for no more
    return float(known[rank - 1]) if rank <= len(known) else math.inf


def is_covered(hull_distance: ArrayLike, cut: float) -> NDArray:
    """Which images the basis covers: the one definition, (N,) bool.

    Parameters
    ----------
    hull_distance : array_like (N,)
        Distance of each image to the hull of the atoms, as ``images.parquet`` holds it.
    cut : float
        Of :func:`coverage_cut`, from the images kept aside (``split == "clean_test"``).

    Returns
    -------
    ndarray of bool (N,)
        False beyond the cut, and where the distance is NaN: nothing is known of such an image, so
        it is not to be accepted unseen. About ``FALSE_ALARM`` of the reference images are beyond.
    """
    return np.asarray(hull_distance, dtype=np.float64) <= cut
