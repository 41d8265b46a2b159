"""The atoms nearest to an image in feature space: the simplest explanation by example."""

from __future__ import annotations

import numpy as np

ROWS_AT_ONCE = 2048


def nearest_atoms(features: np.ndarray, basis: np.ndarray, n_nearest: int) -> np.ndarray:
    """The ``n_nearest`` atoms of each image, (N, n_nearest) int64, nearest first.

    Parameters
    ----------
    features : (N, d) float
    basis : (K, d) float
    n_nearest : int
        1..K.

    Returns
    -------
    ndarray
        By Euclidean distance; what is equally far in float32 is ordered by index, so that the
        last bit of a product, which depends on the processor's threads, decides nothing.

    Raises
    ------
    ValueError
        When ``n_nearest`` is out of range or the widths differ.
    """
    atoms = np.asarray(basis, np.float64)
    if features.ndim != 2 or features.shape[1] != atoms.shape[1]:
        raise ValueError(
            f"features: must have {atoms.shape[1]} columns as basis has, got {features.shape}"
        )
    if not 1 <= n_nearest <= len(atoms):
        raise ValueError(f"n_nearest: must be within 1..{len(atoms)}, got {n_nearest}")
    squares = np.square(atoms).sum(axis=1)
    found = np.empty((len(features), n_nearest), np.int64)
    for start in range(0, len(features), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        x = np.asarray(features[rows], np.float64)
        squared = np.square(x).sum(axis=1)[:, None] + squares - 2.0 * (x @ atoms.T)
        distance = np.maximum(squared, 0.0).astype(np.float32)
        some = np.sort(np.argpartition(distance, n_nearest - 1, axis=1)[:, :n_nearest], axis=1)
        order = np.argsort(np.take_along_axis(distance, some, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(some, order, axis=1)
    return found
