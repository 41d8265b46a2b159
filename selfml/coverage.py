"""How much of the features a basis can explain, by number of atoms, and what could be better.

Notation
--------
``X`` (n, d) are the images measured, ``B`` (K, d) the atoms, ``c`` (n, K) the coefficients, rows on
the simplex. For ``k`` atoms ``S`` the explained variance of a reconstruction ``X~`` is
``1 - ||X - X~||^2 / ||X - mean||^2``. Whatever lies in the hull of k atoms lies in a plane of k - 1
dimensions, so k - 1 principal components of ``X`` bound it: no choice of k atoms can do better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
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
    c = hull_coefficients(x, atoms, tolerance=TOLERANCE).coefficients
    return explained_variance(x, c @ atoms)


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
