"""From which confidence on flips may be accepted without a person, with a guarantee.

Notation: M flips of verified images, each with a confidence and whether it was correct; ``m_i`` of
them are of image i. Flips of one image may be right or wrong together. With correlation ``rho``
between two of them, n flips tell as much as ``n / (1 + rho (sum m_i^2 / n - 1))`` independent ones
(Kish 1965, the design effect of samples that come in clusters).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv  # scipy.stats would take a tenth of a server's memory

THRESHOLD_GRID: tuple[float, ...] = tuple(float(t) for t in 1 - np.geomspace(0.001, 0.5, 40))
"""Default thresholds, .999 down to .5, finer near 1 (our choice)."""

TESTS = ["threshold", "count", "correct", "correlation", "effective", "lower_bound", "proven"]

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
    bound = betaincinv(np.maximum(k, 1e-9), np.maximum(n - k, 0) + 1, 1 - confidence_level)
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
    """From which confidence on flips may be accepted without a person: tests in their order.

    Parameters
    ----------
    confidence : array_like (M,)
        Confidence of every flip of a set that nothing was fitted on (held out).
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
        ``images``, so many that they would tell as much were those of an image always alike. With
        a precision of .95 fewer than 59 can prove nothing; 100 is our choice.
    grid : array_like
        Thresholds to try, chosen before seeing these flips; used from high to low.

    Returns
    -------
    DataFrame
        threshold (falling), count and correct (flips at or above it), correlation (of flips of one
        image among them, :func:`image_correlation`), effective (the count that independent flips
        would need to tell as much), lower_bound (of precision), proven. It ends with the first that
        is not proven: the last proven threshold is the one to accept from, and where there is none
        nothing may be accepted. No row where no threshold can be tested.

    Raises
    ------
    ValueError
        On shapes that differ, values that are not finite or a setting out of range.

    Notes
    -----
    **Guarantee.** Over draws of the flips given here, with probability at least
    ``confidence_level``, either nothing is proven or a new flip with a confidence at or above the
    last proven threshold is correct with probability at least ``precision``.

    **Why.** For a fixed threshold the number correct among n accepted is binomial, so "precision
    too low" is rejected at level ``1 - confidence_level`` exactly when the Clopper-Pearson bound
    reaches ``precision``. Thresholds are tested in a fixed order and the first that is not rejected
    ends the test, so the first false one has to be rejected for any error (fixed-sequence testing;
    Angelopoulos et al. 2021, Learn then Test): no correction for the number of thresholds.

    **Assumptions.** (1) The flips here and those to come are exchangeable: same catalogue, same
    model, drawn alike. A flip of another season, or from a model trained on these very flips, is
    not covered. (2) Without ``images``, several flips of one image count as independent; with it,
    n is divided by the design effect under an upper estimate of the correlation among the flips at
    or above the threshold (sure flips may go together more than others), and the level holds to
    the accuracy of that estimate (simulated in ``tests/test_auto_accept.py``). (3) Where
    ``min_count`` skips the top of the grid, precision must not fall as confidence rises there; a
    grid whose first threshold is sure to accept ``min_count`` flips does not need this.
    """
    score, right, code = _checked(confidence, correct, images)
    if not (0 < precision < 1 and 0 < confidence_level < 1 and min_count >= 1):
        raise ValueError(
            "precision and confidence_level must lie between 0 and 1 and min_count be at least 1, "
            f"got {precision}, {confidence_level}, {min_count}"
        )
    order = np.argsort(-score, kind="stable")
    score, right, code = score[order], right[order], code[order]
    rows = []
    for threshold in np.unique(np.asarray(grid, dtype=np.float64))[::-1]:
        n = int(np.searchsorted(-score, -threshold, side="right"))
        alike = n and float((np.bincount(code[:n]) ** 2).sum()) / n  # design effect at most
        if not n or n / alike < min_count:
            continue  # whether it is tested must not depend on which flips are right
        hits = right[:n].sum()
        correlation = 0.0 if images is None else image_correlation(right[:n], code[:n])
        effective = n / (1.0 + correlation * (alike - 1.0))
        share = hits / n * effective
        bound = precision_lower_bound(share, effective, confidence_level=confidence_level)
        proven = bool(bound >= precision)
        rows.append((threshold, n, int(hits), correlation, effective, float(bound), proven))
        if not proven:
            break
    return pd.DataFrame(rows, columns=TESTS).astype({"proven": bool})


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
