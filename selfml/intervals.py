"""How far a measured value may be off: resampled images, and shares of a count.

Notation: N images are drawn with replacement B times; w (N, B) says how often each image is in
each resample. Values of the same images under the same ``seed`` are measured on the same
resamples, so that their difference is paired. A share is k of n.
"""

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CELLS_AT_ONCE = 500_000  # of w; bounds the memory and keeps it in the processor's cache


def image_resamples(
    n_images: int, n_resamples: int, seed: int | np.random.Generator
) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """Yield w in blocks of columns: which of the B resamples, and their weights (N, size).

    The weights do not depend on the size of the blocks. Without images nothing is yielded.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS_AT_ONCE // max(n_images, 1))
    for start in range(0, n_resamples if n_images else 0, at_once):
        size = min(at_once, n_resamples - start)
        drawn = rng.integers(n_images, size=(size, n_images)) + n_images * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n_images).reshape(size, n_images)
        yield slice(start, start + size), np.ascontiguousarray(counts.T, dtype=np.int32)


def resampled_share(
    part: ArrayLike,
    whole: ArrayLike,
    *,
    n_resamples: int = 1_000,
    seed: int | np.random.Generator = 0,
) -> NDArray[np.float64]:
    """``sum(part) / sum(whole)`` of every column in each resample of the images, (B, L).

    Parameters
    ----------
    part, whole : array_like (N, L)
        Counts or booleans; for the precision of flips, those that are right and those judged.
    n_resamples : int
        B.
    seed : int or numpy.random.Generator

    Returns
    -------
    ndarray (B, L)
        NaN where a resample has nothing in ``whole``.
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    if part.shape != whole.shape or part.ndim != 2:
        raise ValueError(
            f"part and whole must both be (N, L), got shapes {part.shape} and {whole.shape}"
        )
    shares = np.full((n_resamples, part.shape[1]), np.nan)
    for block, weights in image_resamples(len(part), n_resamples, seed):
        total = weights.T @ whole
        np.divide(weights.T @ part, total, out=shares[block], where=total > 0)
    return shares


def percentile_interval(
    resampled: ArrayLike, confidence_level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile interval of each column of (B, L), leaving NaN out; NaN where none is left.

    Raises
    ------
    ValueError
        If ``confidence_level`` does not lie between 0 and 1.
    """
    tail = _tail(confidence_level)
    columns = [column[~np.isnan(column)] for column in np.asarray(resampled, np.float64).T]
    bounds = [np.quantile(c, [tail, 1 - tail]) if c.size else (np.nan, np.nan) for c in columns]
    low, high = np.array(bounds, np.float64).reshape(-1, 2).T
    return low, high


def wilson_interval(
    k: ArrayLike, n: ArrayLike, confidence_level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Score interval of the share k / n (Wilson 1927); NaN where n is 0.

    It stays within 0 and 1 and has a width at k = 0 and k = n, where the usual normal interval
    has none: most attributes have few judged flips. It takes the n for independent.

    Parameters
    ----------
    k, n : array_like of int
        Of one shape, 0 <= k <= n.
    confidence_level : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If a k is below 0 or above its n, or ``confidence_level`` is out of range.
    """
    z = NormalDist().inv_cdf(1 - _tail(confidence_level))
    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    if ((k < 0) | (k > n)).any():
        raise ValueError("k must lie between 0 and n: it counts some of the n")
    safe = np.where(n > 0, n, np.nan)
    share, width = k / safe, 1 + z**2 / safe
    middle = (share + z**2 / (2 * safe)) / width
    half = z * np.sqrt(share * (1 - share) / safe + (z / (2 * safe)) ** 2) / width
    low, high = np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)
    return np.where(k == 0, np.minimum(low, 0.0), low), np.where(k == n, np.maximum(high, 1), high)


def _tail(confidence_level: float) -> float:
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must lie between 0 and 1, got {confidence_level}")
    return (1 - confidence_level) / 2
