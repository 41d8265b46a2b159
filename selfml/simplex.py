"""The simplex: sparsemax, projection, and what is left of an explanation without one atom.

A row of coefficients ``c`` (K) lies on the simplex ``{c : c_k >= 0, sum_k c_k = 1}``.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sparsemax(logits: ArrayLike, axis: int = -1) -> NDArray:
    """Map logits to the simplex, with exact zeros.

    Parameters
    ----------
    logits : array_like of float
        Any shape. ``-inf`` removes an entry; NaN, ``+inf`` and a row of ``-inf`` only are errors.
    axis : int
        The axis that will sum to one.

    Returns
    -------
    ndarray
        Same shape; float32 for float32 input, float64 otherwise (summed in float64 in both cases).

    Raises
    ------
    ValueError
        On an empty axis or a logit that is not a number below infinity.

    Notes
    -----
    Martins & Astudillo 2016, Algorithm 1. The row maximum is subtracted and what falls below -1 is
    cut there, which is exact: the threshold never lies lower than the maximum minus one.
    """
    z = np.asarray(logits)
    kept_dtype = np.float32 if z.dtype == np.float32 else np.float64
    z = np.moveaxis(z.astype(np.float64), axis, -1)
    if z.shape[-1] == 0:
        raise ValueError(f"logits: the axis to sum to one is empty (shape {np.shape(logits)})")
    if z.size == 0:
        return np.moveaxis(z, -1, axis).astype(kept_dtype)
    top = z.max(axis=-1, keepdims=True)
    if not np.isfinite(top).all():
        raise ValueError("logits: every row needs a finite maximum; remove NaN and infinite values")
    z = np.maximum(z - top, -1.0)
    ordered = -np.sort(-z, axis=-1)
    total = np.cumsum(ordered, axis=-1)
    rank = np.arange(1, z.shape[-1] + 1)
    size = (1 + rank * ordered > total).sum(axis=-1, keepdims=True)
    threshold = (np.take_along_axis(total, size - 1, axis=-1) - 1) / size
    return np.moveaxis(np.maximum(z - threshold, 0), -1, axis).astype(kept_dtype)


def project_to_simplex(v: ArrayLike, axis: int = -1) -> NDArray:
    """Return the point of the simplex nearest to ``v`` in Euclidean distance.

    The same map as `sparsemax`, under the name it has in optimisation (Duchi et al. 2008);
    parameters, result and errors are those of `sparsemax`.
    """
    return sparsemax(v, axis=axis)


def renormalise_without(coefficients_row: ArrayLike, k: int) -> NDArray:
    """Take atom ``k`` out of one explanation and let the others sum to one again.

    Parameters
    ----------
    coefficients_row : array_like (K,)
        One row on the simplex.
    k : int
        The atom to remove, 0 <= k < K.

    Returns
    -------
    ndarray (K,)
        On the simplex, zero at ``k``.

    Raises
    ------
    ValueError
        If ``k`` is no atom, or the only one of this row: nothing is left to explain with.
    """
    row = np.array(coefficients_row, dtype=np.float64)
    if row.ndim != 1:
        raise ValueError(f"coefficients_row must have one axis, got shape {row.shape}")
    if not 0 <= k < row.size:
        raise ValueError(f"k must be in 0..{row.size - 1}, got {k}")
    row[k] = 0.0
    left = row.sum()
    if left <= 0:
        raise ValueError(f"k={k} is the only atom of this row; nothing is left without it")
    return row / left
