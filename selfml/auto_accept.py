"""From which confidence on flips may be accepted without a person, with a guarantee.

Notation: M flips of verified images, each with a confidence and whether it was correct; ``m_i`` of
them are of image i. Flips of one image may be right or wrong together. With correlation ``rho``
between two of them, n flips tell as much as ``n / (1 + rho (sum m_i^2 / n - 1))`` independent ones
(Kish 1965, the design effect of samples that come in clusters).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

THRESHOLD_GRID: tuple[float, ...] = tuple(float(t) for t in 1 - np.geomspace(0.001, 0.5, 40))
"""Default thresholds, .999 down to .5, finer near 1 (our choice)."""

_LEAST_WRONG = 10  # below so many wrong flips a correlation is not estimated but taken to be 1
_RESAMPLES = 200


def precision_lower_bound(
    correct: ArrayLike, count: ArrayLike, *, confidence_level: float = 0.95
) -> NDArray:
    """Exact one-sided lower bound of a binomial proportion (Clopper & Pearson 1934).

    ``correct`` of ``count`` were right, elementwise, fractions allowed; the bound in 0..1, 0 where
    none was.
    """
    k, n = np.broadcast_arrays(np.asarray(correct, float), np.asarray(count, float))
    bound = beta.ppf(1 - confidence_level, np.maximum(k, 1e-9), np.maximum(n - k, 0) + 1)
    return np.where(k > 0, bound, 0.0)


def image_correlation(correct: ArrayLike, images: ArrayLike, *, seed: int = 0) -> float:
    """How far flips of one image are right or wrong together, from above.

    Parameters
    ----------
    correct : array_like of bool (M,)
    images : array_like of int (M,)
        The image of each flip.
    seed : int
        Of the bootstrap.

    Returns
    -------
    float
        In 0..1: the upper 95 % bootstrap quantile, over images, of the correlation within images.
        0 where no image has two flips; 1, the worst there is, where fewer than ten flips are wrong
        and nothing can be estimated (both our choice, on the safe side).
    """
    right, code = np.asarray(correct, np.float64), _codes(images)
    size = np.bincount(code)
    if not (size > 1).any():
        return 0.0
    if (right == 0).sum() < _LEAST_WRONG or (right == 1).sum() < _LEAST_WRONG:
        return 1.0
    rest = right - right.mean()
    squares = np.bincount(code, weights=rest**2)
    products = np.bincount(code, weights=rest) ** 2 - squares
    pairs = (size * (size - 1)).astype(np.float64)
    rng = np.random.default_rng(seed)
    weight = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=_RESAMPLES)
    n_pairs, variance = weight @ pairs, (weight @ squares) / (weight @ size)
    defined = (n_pairs > 0) & (variance > 0)
    found = (weight @ products)[defined] / n_pairs[defined] / variance[defined]
    return float(np.clip(np.quantile(found, 0.95), 0.0, 1.0)) if len(found) else 1.0


def threshold_tests(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    images: ArrayLike | None = None,
    precision: float = 0.95,
    confidence_level: float = 0.95,
    min_count: int = 100,
    grid: ArrayLike = THRESHOLD_GRID,
) -> pd.DataFrame:
    """The tests behind :func:`auto_accept_threshold`, in the order in which they are made.

    Parameters are those of :func:`auto_accept_threshold`.

    Returns
    -------
    DataFrame
        threshold (falling), count and correct (flips at or above it), effective (the count that
        independent flips would need to tell as much), lower_bound (of precision), proven: whether
        this test and all before it were passed. No row where no threshold can be tested.

    Raises
    ------
    ValueError
        As :func:`auto_accept_threshold`.
    """
    score, right, code = _checked(confidence, correct, images)
    if not (0 < precision < 1 and 0 < confidence_level < 1 and min_count >= 1):
        raise ValueError(
            "precision and confidence_level must lie between 0 and 1 and min_count be at least 1, "
            f"got {precision}, {confidence_level}, {min_count}"
        )
    thresholds = np.unique(np.asarray(grid, dtype=np.float64))[::-1]
    order = np.argsort(-score, kind="stable")
    count = np.searchsorted(-score[order], -thresholds, side="right")
    hits = np.concatenate([[0.0], np.cumsum(right[order])])[count]
    effective = count.astype(np.float64)
    if images is not None and len(score):
        correlation = image_correlation(right, code)
        inside = code[order]
        squares = [float((np.bincount(inside[:n]) ** 2).sum()) / n if n else 1.0 for n in count]
        effective = count / (1.0 + correlation * (np.array(squares) - 1.0))
    tested = effective >= min_count
    share = hits / np.maximum(count, 1)
    bound = precision_lower_bound(share * effective, effective, confidence_level=confidence_level)
    table = pd.DataFrame(
        {
            "threshold": thresholds,
            "count": count,
            "correct": hits.astype(np.int64),
            "effective": effective,
            "lower_bound": bound,
        }
    )[tested]
    proven = np.logical_and.accumulate(table["lower_bound"].to_numpy() >= precision)
    return table.assign(proven=proven).reset_index(drop=True)


def auto_accept_threshold(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    images: ArrayLike | None = None,
    precision: float = 0.95,
    confidence_level: float = 0.95,
    min_count: int = 100,
    grid: ArrayLike = THRESHOLD_GRID,
) -> float | None:
    """Lowest confidence from which flips may be accepted without a person.

    Parameters
    ----------
    confidence : array_like (M,)
        Confidence of every flip of a set that nothing was fitted on (cross-fitted, or held out).
    correct : array_like of bool (M,)
        Whether the flip gave the verified label.
    images : array_like of int (M,), optional
        The image of each flip, so that flips of one image do not count as independent.
    precision : float
        Precision that accepted flips must have, between 0 and 1.
    confidence_level : float
        How sure to be of that, between 0 and 1.
    min_count : int
        Testing starts at the highest threshold that accepts this many flips, at least 1; with
        ``images``, as many as tell so much. With a precision of .95 fewer than 59 can prove
        nothing; 100 is our choice.
    grid : array_like
        Thresholds to try, chosen before seeing these flips; used from high to low.

    Returns
    -------
    float or None
        Accept flips with ``confidence >= threshold``; None when no guarantee can be given.

    Raises
    ------
    ValueError
        On shapes that differ, values that are not finite or a setting out of range.

    Notes
    -----
    **Guarantee.** Over draws of the flips given here, with probability at least
    ``confidence_level``, either None is returned or a new flip with a confidence at or above the
    threshold is correct with probability at least ``precision``.

    **Why.** For a fixed threshold the number correct among n accepted is binomial, so "precision
    too low" is rejected at level ``1 - confidence_level`` exactly when the Clopper-Pearson bound
    reaches ``precision``. Thresholds are tested in a fixed order and the first that is not rejected
    ends the test, so the first false one has to be rejected for any error (fixed-sequence testing;
    Angelopoulos et al. 2021, Learn then Test): no correction for the number of thresholds.

    **Assumptions.** (1) The flips here and those to come are exchangeable: same catalogue, same
    model, drawn alike. A flip of another season, or from a model trained on these very flips, is
    not covered. (2) Without ``images``, several flips of one image count as independent; with it,
    n is divided by the design effect under an upper estimate of their correlation, and the level
    holds to the accuracy of that estimate (simulated in ``tests/test_auto_accept.py``). (3) Where
    ``min_count`` skips the top of the grid, precision must not fall as confidence rises there; a
    grid whose first threshold is sure to accept ``min_count`` flips does not need this.
    """
    table = threshold_tests(
        confidence, correct, images=images, precision=precision,
        confidence_level=confidence_level, min_count=min_count, grid=grid,
    )  # fmt: skip
    proven = table.loc[table["proven"], "threshold"]
    return float(proven.iloc[-1]) if len(proven) else None


def _codes(images: ArrayLike) -> NDArray:
    return np.unique(np.asarray(images), return_inverse=True)[1].reshape(-1)


def _checked(
    confidence: ArrayLike, correct: ArrayLike, images: ArrayLike | None
) -> tuple[NDArray, NDArray, NDArray]:
    score, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    if score.ndim != 1 or score.shape != right.shape:
        raise ValueError(
            f"confidence and correct must be (M,) alike, got {score.shape} and {right.shape}"
        )
    if not np.isfinite(score).all() or not np.isin(right, (0, 1)).all():
        raise ValueError("confidence must be finite and correct be true or false")
    code = np.arange(len(score)) if images is None else _codes(images)
    if code.shape != score.shape:
        raise ValueError(f"images must be (M,) as confidence is, got {code.shape}")
    return score, right.astype(np.float64), code
